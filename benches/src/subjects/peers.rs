use std::time::Duration;

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_resilience::circuitbreaker::CircuitBreakerLayer;
use tower_resilience::ratelimiter::{RateLimiterConfigError, RateLimiterLayer};
use tower_resilience::retry::{RetryBudgetBuilder, RetryLayer};
use tower_resilience::timelimiter::{FixedTimeout, TimeLimiterLayer};

use crate::NoOp;
use crate::collect::{Collect, Collected};
use crate::driven::drive;
use crate::pass_through::PassThroughLayer;
use crate::tower_retry::Unavailable;

use super::{Group, Subject};

const TIMEOUT: Duration = Duration::from_secs(30);

macro_rules! peer {
    ($name:literal, |$service:ident| $build:expr) => {
        Subject {
            name: $name,
            group: Group::Peer,
            build: |$service| drive(|| Ok($build)),
        }
    };
}

pub(super) fn all() -> Vec<Subject> {
    parts()
        .into_iter()
        .chain(tower())
        .chain(tower_resilience())
        .collect()
}

fn parts() -> [Subject; 5] {
    [
        peer!("a layer that does nothing", |service| {
            ServiceBuilder::new()
                .layer(PassThroughLayer)
                .service(service)
        }),
        peer!("five layers that do nothing", |service| {
            ServiceBuilder::new()
                .layer(PassThroughLayer)
                .layer(PassThroughLayer)
                .layer(PassThroughLayer)
                .layer(PassThroughLayer)
                .layer(PassThroughLayer)
                .service(service)
        }),
        peer!("the body collected, sent again", |service| Collect::new(
            rebuilt(service)
        )),
        peer!("boxed once", |service| BoxCloneSyncService::new(service)),
        peer!("boxed three times", |service| {
            let once = BoxCloneSyncService::new(service);
            BoxCloneSyncService::new(BoxCloneSyncService::new(once))
        }),
    ]
}

fn tower() -> [Subject; 4] {
    [
        peer!("tower::timeout", |service| {
            ServiceBuilder::new().timeout(TIMEOUT).service(service)
        }),
        peer!("tower::retry", |service| {
            let retry = ServiceBuilder::new().retry(Unavailable::new());
            Collect::new(retry.service(rebuilt(service)))
        }),
        peer!("tower::retry, timeout, boxed", |service| {
            let retry = ServiceBuilder::new().retry(Unavailable::new());
            let retry = Collect::new(retry.service(rebuilt(service)));
            BoxCloneSyncService::new(ServiceBuilder::new().timeout(TIMEOUT).service(retry))
        }),
        peer!("tower::buffer", |service| {
            ServiceBuilder::new()
                .buffer::<Request<Body>>(1024)
                .service(service)
        }),
    ]
}

fn tower_resilience() -> [Subject; 6] {
    [
        peer!("tower-resilience time limiter", |service| {
            ServiceBuilder::new().layer(time_limiter()).service(service)
        }),
        peer!("tower-resilience rate limiter", |service| {
            ServiceBuilder::new()
                .layer(rate_limiter()?)
                .service(service)
        }),
        peer!("tower-resilience circuit breaker", |service| {
            let breaker = CircuitBreakerLayer::builder().build()?;
            ServiceBuilder::new().layer(breaker).service(service)
        }),
        peer!("tower-resilience retry", |service| {
            let retry = RetryLayer::<Collected, Response<Body>, Status>::builder().build();
            Collect::new(ServiceBuilder::new().layer(retry).service(rebuilt(service)))
        }),
        peer!("tower-resilience retry, budget", |service| {
            let budget = RetryBudgetBuilder::new().token_bucket().build()?;
            let retry = RetryLayer::<Collected, Response<Body>, Status>::builder().budget(budget);
            let retry = ServiceBuilder::new().layer(retry.build());
            Collect::new(retry.service(rebuilt(service)))
        }),
        peer!("tower-resilience, its four layers", |service| {
            let retry = RetryLayer::<Collected, Response<Body>, _>::builder().build();
            let stack = ServiceBuilder::new()
                .layer(retry)
                .layer(time_limiter())
                .layer(rate_limiter()?)
                .layer(CircuitBreakerLayer::builder().build()?);
            Collect::new(stack.service(rebuilt(service)))
        }),
    ]
}

fn time_limiter() -> TimeLimiterLayer<FixedTimeout> {
    TimeLimiterLayer::builder()
        .timeout_duration(TIMEOUT)
        .build()
}

/// So many permits that none is ever missing.
fn rate_limiter() -> Result<RateLimiterLayer, RateLimiterConfigError> {
    RateLimiterLayer::per_second(1_000_000_000).build()
}

/// Gives the service a body of tonic's again.
fn rebuilt(
    service: NoOp,
) -> impl Service<Collected, Response = Response<Body>, Error = Status, Future: Send>
+ Clone
+ Send
+ 'static {
    service.map_request(|request: Collected| request.map(Body::new))
}
