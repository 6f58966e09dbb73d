//! Requests that are live streams, and a policy without chance.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use grpc_resilience::RetryPolicy;
use test_protos::EchoRequest;
use testing::every;
use tokio::runtime::Builder;
use tokio_stream::Stream;

/// Runs a test on a paused clock of its own, and no other beside it: what is counted is the memory
/// of the process. The runtime is gone before the next test begins.
pub(crate) fn alone(test: impl Future<Output = ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test);
}

/// Two attempts, always this far apart.
pub(crate) fn policy(backoff: Duration) -> RetryPolicy {
    let policy = RetryPolicy::new().max_attempts(2).unwrap();
    policy.backoff(every(backoff))
}

/// A stream whose every message is waited for, so that each is sent by itself.
///
/// All share one payload: what is unsent of a stream holds no memory.
pub(crate) struct Messages {
    message: EchoRequest,
    left: usize,
    waited: bool,
}

impl Messages {
    pub(crate) fn new(message: EchoRequest, count: usize) -> Self {
        Self {
            message,
            left: count,
            waited: false,
        }
    }
}

impl Stream for Messages {
    type Item = EchoRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EchoRequest>> {
        self.waited = !self.waited;
        if self.waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(left) = self.left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.left = left;
        Poll::Ready(Some(self.message.clone()))
    }
}
