//! What a whole stack makes of the faults of a transport, in calls that take the fast path of
//! `Resilience` and in those that must not.
//!
//! The first call over a stack tests the channel through all layers; only then is the fast path
//! open.

mod late_reset;
mod lost_connection;
mod other_calls;
mod slow_path;

use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::BoxError;
use grpc_resilience::retry::RetryPolicy;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use peer::{Connection, Peer, SeenStream, Stream};
use tokio::time::timeout;
use tonic::body::Body;
use tower::ServiceExt as _;
use tower_service::Service;

use super::support::{every, log, request};

const SECOND: Duration = Duration::from_secs(1);

/// Four attempts, a tenth of a second apart.
fn policy() -> RetryPolicy {
    RetryPolicy::new().backoff(every(SECOND / 10))
}

fn declared() -> Request<Body> {
    super::support::declared(request())
}

/// A peer that answers a first call, and then does this.
async fn then(streams: impl IntoIterator<Item = Stream>) -> Peer {
    let streams = std::iter::once(Stream::ok(b"")).chain(streams);
    Peer::start([Connection::new().streams(streams)]).await
}

/// Calls once, so that the channel is known to be ready, and then with this request.
async fn call<S, R>(stack: &S, request: Request<Body>) -> Result<Response<R>, S::Error>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    log::listen();
    let first = stack.clone().oneshot(super::support::request()).await;
    let body = first.unwrap().into_body().collect().await;
    assert!(body.is_ok(), "the channel is ready");
    let call = stack.clone().oneshot(request);
    timeout(60 * SECOND, call).await.expect("it ends")
}

/// The streams after the first call's.
fn streams(peer: &Peer) -> Vec<SeenStream> {
    peer.streams_seen().split_off(1)
}
