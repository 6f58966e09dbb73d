//! A channel without generated code, what is sent over it, and what calls fail with.

pub(crate) mod log;

use std::time::Duration;

use grpc_resilience::BoxError;
use grpc_resilience::backoff::{Exponential, Jitter};
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel as ours;
use http::{Request, Response};
use peer::{Connection, Peer, Step, Stream};
use tonic::body::Body;
use tower_service::Service;
use transports::{Channel, ResponseBody, Transport};

pub(crate) use peer::client::{SHORT, call, endpoint, others_have_run, request, spawn, unary};

/// The outcome of a call over a bare channel.
pub(crate) type Answer = Result<Response<ResponseBody>, BoxError>;

/// A channel to a peer over the transport of this test. tonic's connects with its first call; that
/// of this crate connects now, in memory, so that its timers are sound on a paused clock.
pub(crate) fn channel(peer: &Peer) -> Channel {
    match Transport::current() {
        Transport::Tonic => endpoint(peer.uri()).connect_lazy().into(),
        Transport::Ours => in_memory(peer).build().unwrap().into(),
    }
}

/// A channel that is connected to a peer.
pub(crate) async fn connected(peer: &Peer) -> Channel {
    match channel(peer) {
        Channel::Tonic(_) => endpoint(peer.uri()).connect().await.unwrap().into(),
        Channel::Ours(channel) => {
            channel.connected(Duration::from_secs(60)).await.unwrap();
            channel.into()
        }
    }
}

/// This crate's channel, of one connection as tonic's.
pub(crate) fn in_memory(peer: &Peer) -> ours::Builder {
    ours::Channel::builder("unix:peer")
        .connector(peer.dialer())
        .origin(peer.uri().parse().unwrap())
        .max_connections(1)
}

pub(crate) fn failed<T, E: Into<BoxError>>(answer: Result<T, E>) -> BoxError {
    answer.err().expect("the call fails").into()
}

/// What a call over this channel fails with.
pub(crate) async fn failure<C>(channel: &C) -> BoxError
where
    C: Service<Request<Body>, Error: Into<BoxError>> + Clone,
{
    failed(call(channel).await)
}

/// What a call fails with whose every connection is this one.
pub(crate) async fn failure_over(connection: Connection) -> BoxError {
    let peer = Peer::always(connection).await;
    failure(&channel(&peer)).await
}

/// What a call fails with whose stream meets these steps.
pub(crate) async fn failure_with(steps: impl IntoIterator<Item = Step>) -> BoxError {
    failure_over(Connection::new().other_streams(Stream::from(steps))).await
}

/// The same wait before every retry, without chance.
pub(crate) fn every(delay: Duration) -> Exponential {
    let constant = Exponential::new(delay).unwrap().multiplier(1.0).unwrap();
    constant.jitter(Jitter::None)
}

/// A request that its caller declares idempotent.
pub(crate) fn declared(mut request: Request<Body>) -> Request<Body> {
    request.call_options().idempotent();
    request
}
