//! Who reads the request.

use std::future::Future;
use std::pin::Pin;

use benches::collect::{Collect, Collected};
use benches::tower_retry::Unavailable;
use benches::{Answering, Failure, NoOp, call};
use bytes::Bytes;
use grpc_resilience::{RetryLayer, RetryPolicy};
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

/// A stack, to be called.
pub(crate) trait Stack {
    /// Makes these calls, one after the other.
    fn run(
        &mut self,
        calls: Vec<Request<Body>>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + '_>>;
}

impl<S, R> Stack for S
where
    S: Service<Request<Body>, Response = Response<R>, Error: Into<Failure>>,
    R: http_body::Body<Data = Bytes, Error: Into<Failure>>,
{
    fn run(
        &mut self,
        calls: Vec<Request<Body>>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + '_>> {
        Box::pin(async {
            for request in calls {
                let service = self.ready().await.map_err(Into::into)?;
                let response = service.call(request).await.map_err(Into::into)?;
                call::read(response).await?;
            }
            Ok(())
        })
    }
}

/// More than the largest request.
const ROOM: usize = 64 << 20;

/// A stack by name.
pub(crate) type Subject = (&'static str, Box<dyn Stack>);

pub(crate) fn all() -> Vec<Subject> {
    let policy = || RetryPolicy::new().assume_idempotent();
    let kept = || {
        RetryLayer::new(policy())
            .replay_limit(ROOM)
            .replay_buffer(ROOM)
    };
    let collected = ServiceBuilder::new()
        .layer_fn(Collect::new)
        .retry(Unavailable::new())
        .map_request(|request: Collected| request.map(Body::new));
    let reader = NoOp::new(Answering::AtOnce);
    vec![
        ("bare", Box::new(reader)),
        (
            "retry, its defaults",
            Box::new(RetryLayer::new(policy()).layer(reader)),
        ),
        ("retry, no limit", Box::new(kept().layer(reader))),
        (
            "tower::retry, collected",
            Box::new(collected.service(reader)),
        ),
    ]
}
