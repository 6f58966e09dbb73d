//! The three clients that are compared. All of them use the same channel settings and the same generated code.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::backoff::{Exponential, Jitter};
use grpc_resilience::retry::RetryPolicy;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{Resilience, Resilient};
use http_body::Body as HttpBody;
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::Failure;
use crate::count::{Attempts, Counted};
use crate::methods::Method;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a generated client needs of a channel, in one word.
pub(crate) trait Transport:
    GrpcService<
        Body,
        ResponseBody: HttpBody<Data = tonic::codegen::Bytes, Error: Into<BoxError> + Send>
                          + Send
                          + 'static,
        Error: Into<BoxError> + Send,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
}

impl<T> Transport for T where
    T: GrpcService<
            Body,
            ResponseBody: HttpBody<Data = tonic::codegen::Bytes, Error: Into<BoxError> + Send>
                              + Send
                              + 'static,
            Error: Into<BoxError> + Send,
            Future: Send,
        > + Clone
        + Send
        + 'static
{
}

/// Clients 1 and 2: tonic's own balanced channel.
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

/// Client 3: this crate over the same channel. `Append` is not declared, so it is never repeated.
pub(crate) fn resilient(
    nodes: &[SocketAddr],
    attempts: &Arc<Attempts>,
) -> Result<Resilient<Counted<Channel>>, Failure> {
    let ms = Duration::from_millis;
    // Two picks of three meet a follower, so most retries are not for an outage: the delay starts
    // small and grows slowly.
    let backoff = Exponential::new(ms(4))?
        .multiplier(1.05)?
        .max(ms(100))?
        .jitter(Jitter::Equal);
    let dials = Exponential::new(ms(20))?.max(ms(100))?;
    let stack = Resilience::new()
        .idempotent("/failover.v1.Kv/Put")?
        .no_side_effects("/failover.v1.Kv/Get")?
        .unary("/failover.v1.Kv/*")?
        .unlimited_budget()
        .retry(RetryPolicy::until_deadline().backoff(backoff))
        .wait_for_ready(WaitForReadyLayer::new().endpoints(3)?.backoff(dials));
    Ok(stack.wrap(balanced(nodes, attempts)?))
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
    /// The usual loop: up to five retries on UNAVAILABLE, after 100 ms, 200 ms, and so on; never for `Append`.
    RetryByHand,
}

impl Recipe {
    const RETRIES: u32 = 5;
    const FIRST_PAUSE: Duration = Duration::from_millis(100);

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
        let mut pause = Self::FIRST_PAUSE;
        for _ in 0..self.retries_of(method) {
            match attempt(deadline - Instant::now()).await {
                Err(status) if status.code() == Code::Unavailable => {}
                outcome => return outcome,
            }
            sleep(pause).await;
            pause *= 2;
        }
        attempt(deadline - Instant::now()).await
    }

    const fn retries_of(self, method: Method) -> u32 {
        match self {
            Self::RetryByHand if method.is_declared() => Self::RETRIES,
            Self::RetryByHand | Self::Trust => 0,
        }
    }
}
