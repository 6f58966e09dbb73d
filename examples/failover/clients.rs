//! tonic's channels, and the loops around calls over them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::backoff::{self, Backoff, Exponential, InvalidBackoff, Jitter};
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::count::{Attempts, Counted};
use crate::methods::Method;
use grpc_resilience_examples::Failure;

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

pub(crate) fn endpoint(node: SocketAddr) -> Result<Endpoint, Failure> {
    Ok(Endpoint::from_shared(format!("http://{node}"))?
        .connect_timeout(Duration::from_millis(500))
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(1))
        .keep_alive_while_idle(true)
        .tcp_nodelay(true))
}

/// What the calling code itself does about deadlines and failures.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recipe {
    /// Nothing: the layers below do.
    Layered,
    /// It sets a timeout; the first answer counts.
    Trust,
    /// A loop on UNAVAILABLE until the deadline, for the methods that may be repeated.
    Loop(Exponential),
    /// raft-grpc-leader-rpc's: five retries of each call, 100 ms doubling, on UNAVAILABLE and
    /// RESOURCE_EXHAUSTED. Its middleware knows no methods.
    Middleware(Exponential),
}

/// How often the middleware retries.
const RETRIES: u32 = 5;

impl Recipe {
    /// A loop with the pauses that are this crate's default.
    pub(crate) fn by_hand() -> Result<Self, InvalidBackoff> {
        let pauses = Exponential::new(Duration::from_millis(100))?.max(Duration::from_secs(1))?;
        Ok(Self::Loop(pauses))
    }

    pub(crate) fn middleware() -> Result<Self, InvalidBackoff> {
        let longest = Duration::from_secs(10);
        let pauses = Exponential::new(Duration::from_millis(100))?.max(longest)?;
        Ok(Self::Middleware(pauses.jitter(Jitter::None)))
    }

    /// Makes attempts until one counts. Each is told how much of the deadline is left, if that is
    /// for the calling code to say.
    pub(crate) async fn follow<F>(
        self,
        method: Method,
        deadline: Instant,
        mut attempt: impl FnMut(Option<Duration>) -> F,
    ) -> Result<(), Status>
    where
        F: Future<Output = Result<(), Status>>,
    {
        if let Self::Layered = self {
            return attempt(None).await;
        }
        let (mut retry, mut pause) = (0, Duration::ZERO);
        loop {
            let outcome = attempt(Some(deadline - Instant::now())).await;
            retry += 1;
            let Err(status) = &outcome else {
                return outcome;
            };
            let Some(backoff) = self.repeats(method, status, retry) else {
                return outcome;
            };
            pause = backoff.delay(&backoff::Retry::new(retry, pause, rand::random()));
            if Instant::now() + pause >= deadline {
                return outcome;
            }
            sleep(pause).await;
        }
    }

    /// The pauses, if a call that failed so is repeated for this time.
    fn repeats(self, method: Method, status: &Status, retry: u32) -> Option<Exponential> {
        match (self, status.code()) {
            (Self::Loop(backoff), Code::Unavailable) => method.is_declared().then_some(backoff),
            (Self::Middleware(backoff), Code::Unavailable | Code::ResourceExhausted) => {
                (retry <= RETRIES).then_some(backoff)
            }
            _ => None,
        }
    }
}
