//! What the users of others put around a service: one that is cloned for each attempt, and whose
//! requests are collected first.

use std::time::Duration;

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_resilience::circuitbreaker::CircuitBreakerLayer;
use tower_resilience::ratelimiter::{RateLimiterConfigError, RateLimiterLayer};
use tower_resilience::retry::RetryLayer;
use tower_resilience::timelimiter::{FixedTimeout, TimeLimiterLayer};

use crate::Failure;
use crate::collect::{Collect, Collected};
use crate::tower_retry::Unavailable;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// What a stack is put around.
pub trait Inner:
    Service<Request<Body>, Response = Response<Body>, Error = Status, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Inner for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Status, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// `tower::retry`, with its own backoff and budget.
pub fn tower_retry(
    service: impl Inner,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Failure, Future: Send>
+ Clone
+ Send
+ 'static {
    let retry = ServiceBuilder::new().retry(Unavailable::new());
    Collect::new(retry.service(rebuilt(service)))
}

/// The retry of tower-resilience alone.
pub fn tower_resilience_retry(
    service: impl Inner,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Failure, Future: Send>
+ Clone
+ Send
+ 'static {
    let retry = RetryLayer::<Collected, Response<Body>, Status>::builder().build();
    Collect::new(ServiceBuilder::new().layer(retry).service(rebuilt(service)))
}

/// Retry, time limiter, rate limiter and circuit breaker of tower-resilience.
///
/// # Errors
///
/// If a layer refuses its settings.
pub fn tower_resilience_four(
    service: impl Inner,
) -> Result<
    impl Service<Request<Body>, Response = Response<Body>, Error = Failure, Future: Send>
    + Clone
    + Send
    + 'static,
    Failure,
> {
    let retry = RetryLayer::<Collected, Response<Body>, _>::builder().build();
    let stack = ServiceBuilder::new()
        .layer(retry)
        .layer(time_limiter())
        .layer(rate_limiter()?)
        .layer(CircuitBreakerLayer::builder().build()?);
    Ok(Collect::new(stack.service(rebuilt(service))))
}

pub(crate) fn time_limiter() -> TimeLimiterLayer<FixedTimeout> {
    TimeLimiterLayer::builder()
        .timeout_duration(TIMEOUT)
        .build()
}

/// So many permits that none is ever missing.
pub(crate) fn rate_limiter() -> Result<RateLimiterLayer, RateLimiterConfigError> {
    RateLimiterLayer::per_second(1_000_000_000).build()
}

/// Gives the service a body of tonic's again.
pub(crate) fn rebuilt(
    service: impl Inner,
) -> impl Service<Collected, Response = Response<Body>, Error = Status, Future: Send>
+ Clone
+ Send
+ 'static {
    service.map_request(|request: Collected| request.map(Body::new))
}
