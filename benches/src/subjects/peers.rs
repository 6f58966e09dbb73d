use std::hint::black_box;

use grpc_resilience::call::Context;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;
use tower_resilience::circuitbreaker::CircuitBreakerLayer;
use tower_resilience::retry::{RetryBudgetBuilder, RetryLayer};

use crate::Failure;
use crate::collect::{Collect, Collected};
use crate::driven::drive;
use crate::pass_through::PassThroughLayer;
use crate::peer_stacks::{
    TIMEOUT, rate_limiter, rebuilt, time_limiter, tower_resilience_four, tower_resilience_retry,
    tower_retry,
};

use super::{Group, Subject};

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

fn parts() -> [Subject; 7] {
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
        // The least of a layer whose errors are of another type than the channel's.
        peer!("a layer that only wraps answers", |service| {
            ServiceBuilder::new()
                .map_err(Failure::from)
                .map_response(|answer: Response<Body>| {
                    answer.map(|body| body.map_err(Failure::from))
                })
                .service(service)
        }),
        // And that reads what the caller wishes, if anything.
        peer!("the same, and looks for a context", |service| {
            ServiceBuilder::new()
                .map_request(|request: Request<Body>| {
                    black_box(request.extensions().get::<Context>().is_some());
                    request
                })
                .map_err(Failure::from)
                .map_response(|answer: Response<Body>| {
                    answer.map(|body| body.map_err(Failure::from))
                })
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
        peer!("tower::retry", |service| tower_retry(service)),
        peer!("tower::retry, timeout, boxed", |service| {
            let timeout = ServiceBuilder::new().timeout(TIMEOUT);
            BoxCloneSyncService::new(timeout.service(tower_retry(service)))
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
            tower_resilience_retry(service)
        }),
        peer!("tower-resilience retry, budget", |service| {
            let budget = RetryBudgetBuilder::new().token_bucket().build()?;
            let retry = RetryLayer::<Collected, Response<Body>, Status>::builder().budget(budget);
            let retry = ServiceBuilder::new().layer(retry.build());
            Collect::new(retry.service(rebuilt(service)))
        }),
        peer!("tower-resilience, its four layers", |service| {
            tower_resilience_four(service)?
        }),
    ]
}
