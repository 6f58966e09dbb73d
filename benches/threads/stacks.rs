//! The stacks that several threads call through.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use benches::peer_stacks::tower_retry;
use benches::{Answering, Failure, NoOp, call, call_often};
use bytes::Bytes;
use grpc_resilience::{DeadlineLayer, Resilience, RetryLayer};
use http::{Request, Response};
use tonic::body::Body;
use tower::timeout::TimeoutLayer;
use tower::{Layer, Service};

/// A stack by name.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) stack: Box<dyn Stack>,
}

/// A stack that tasks have clones of.
pub(crate) trait Stack {
    fn calls(&self, calls: u32) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;
}

impl<S, R> Stack for S
where
    S: Service<Request<Body>, Response = Response<R>, Error: Into<Failure>, Future: Send>
        + Clone
        + Send
        + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<Failure>> + Send + 'static,
{
    fn calls(&self, calls: u32) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>> {
        let mut stack = self.clone();
        Box::pin(async move { call_often(&mut stack, calls).await })
    }
}

const TIMEOUT: Duration = Duration::from_secs(30);

/// The bare service first.
pub(crate) fn all() -> Result<Vec<Subject>, Failure> {
    let service = NoOp::new(Answering::Later);
    let unbounded = Resilience::new().idempotent(call::METHOD)?;
    let bounded = unbounded.clone().default_timeout(TIMEOUT);
    let deadline = DeadlineLayer::new().default_timeout(TIMEOUT);
    Ok(vec![
        subject("bare", service),
        subject("deadline", deadline.layer(service)),
        subject("retry", RetryLayer::default().layer(service)),
        subject("Resilience", bounded.layer(service)),
        subject("Resilience, no timeout", unbounded.layer(service)),
        subject("tower::timeout", TimeoutLayer::new(TIMEOUT).layer(service)),
        subject("tower::retry", tower_retry(service)),
    ])
}

fn subject(name: &'static str, stack: impl Stack + 'static) -> Subject {
    Subject {
        name,
        stack: Box::new(stack),
    }
}
