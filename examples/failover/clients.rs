//! The channel that clients 1 to 4 share, and the retry loop of client 2.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::backoff::{self, Backoff, Exponential};
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::Failure;
use crate::count::{Attempts, Counted};
use crate::methods::Method;

/// tonic's own balanced channel, with the attempts counted.
pub(crate) fn balanced(
    nodes: &[SocketAddr],
    attempts: &Arc<Attempts>,
) -> Result<Counted<Channel>, Failure> {
    let endpoints = nodes
        .iter()
        .map(|node| endpoint(*node))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Counted::new(
        Channel::balance_list(endpoints.into_iter()),
        Arc::clone(attempts),
    ))
}

fn endpoint(node: SocketAddr) -> Result<Endpoint, Failure> {
    Ok(Endpoint::from_shared(format!("http://{node}"))?
        .connect_timeout(Duration::from_millis(500))
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(1))
        .keep_alive_while_idle(true)
        .tcp_nodelay(true))
}

/// What the calling code itself does about failures.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recipe {
    /// Nothing: the first answer counts.
    Trust,
    /// A loop on UNAVAILABLE until the deadline, with the pauses of client 4; never for `Append`.
    RetryByHand(Exponential),
}

impl Recipe {
    /// Makes attempts until one counts; each is told how much of the deadline is left.
    pub(crate) async fn follow<F>(
        self,
        method: Method,
        deadline: Instant,
        mut attempt: impl FnMut(Duration) -> F,
    ) -> Result<(), Status>
    where
        F: Future<Output = Result<(), Status>>,
    {
        let Some(backoff) = self.backoff_of(method) else {
            return attempt(deadline - Instant::now()).await;
        };
        let (mut retry, mut pause) = (0, Duration::ZERO);
        loop {
            match attempt(deadline - Instant::now()).await {
                Err(status) if status.code() == Code::Unavailable => {
                    retry += 1;
                    pause = backoff.delay(&backoff::Retry::new(retry, pause, rand::random()));
                    if Instant::now() + pause >= deadline {
                        return Err(status);
                    }
                }
                outcome => return outcome,
            }
            sleep(pause).await;
        }
    }

    const fn backoff_of(self, method: Method) -> Option<Exponential> {
        match self {
            Self::RetryByHand(backoff) if method.is_declared() => Some(backoff),
            Self::RetryByHand(_) | Self::Trust => None,
        }
    }
}
