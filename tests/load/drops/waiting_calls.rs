//! When a call is dropped.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::time::timeout;

#[derive(Clone, Copy)]
pub(crate) enum WaitMode {
    /// After so many polls.
    Polls(u32),
    Time(Duration),
}

impl WaitMode {
    pub(crate) fn random(rng: &mut StdRng) -> Self {
        if rng.random() {
            Self::Polls(rng.random_range(0..12))
        } else {
            Self::Time(Duration::from_millis(rng.random_range(0..30)))
        }
    }

    /// Whether the call came to its end before it was dropped.
    pub(crate) async fn run(self, call: impl Future) -> bool {
        let mut polls = match self {
            Self::Time(time) => return timeout(time, call).await.is_ok(),
            Self::Polls(polls) => polls,
        };
        let mut call = pin!(call);
        let ended = poll_fn(|cx| {
            let Some(left) = polls.checked_sub(1) else {
                return Poll::Ready(false);
            };
            polls = left;
            match call.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(true),
                Poll::Pending if left == 0 => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            }
        });
        // A call that hangs is not polled so often.
        timeout(Duration::from_secs(1), ended).await == Ok(true)
    }
}
