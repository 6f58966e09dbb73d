//! Servers that say how they are.

use std::io;

use grpc_resilience::channel::{Channel, EndpointSnapshot, Health};
use peer::{Connection, Headers, Peer, SeenStream, Step, Stream};
use test_protos::EchoServer;
use testing::EchoService;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::manner::Manner;
use super::net::{Host, Net};

pub(crate) const SERVICE: &str = "quis.RaftLeader";

/// A watch that says this, and goes on.
pub(crate) fn says(status: u8) -> Stream {
    Stream::new()
        .then(Step::AwaitRequest)
        .then(Step::Headers(Headers::response()))
        .then(said(status))
}

/// The message with this status.
pub(crate) fn said(status: u8) -> Step {
    Step::message(if status == 0 { vec![] } else { vec![8, status] })
}

/// A connection whose first stream, the watch, meets this, and all others OK.
pub(crate) fn watched(watch: Stream) -> Connection {
    Connection::new().streams([watch.then(Step::Stall)])
}

/// The watches among the streams that the peer has seen.
pub(crate) fn watches(peer: &Peer) -> Vec<SeenStream> {
    let is_watch = |it: &SeenStream| it.field(":path") == Some("/grpc.health.v1.Health/Watch");
    let mut streams = peer.streams_seen();
    streams.retain(is_watch);
    streams
}

/// The calls among them.
pub(crate) fn calls(peer: &Peer) -> usize {
    peer.streams_seen().len() - watches(peer).len()
}

pub(crate) fn endpoint(channel: &Channel) -> EndpointSnapshot {
    channel.snapshot().endpoints.swap_remove(0)
}

/// What the first endpoint says, and its words.
pub(crate) fn health(channel: &Channel) -> Option<(Health, String)> {
    let endpoint = channel.snapshot().endpoints.into_iter().next()?;
    endpoint.health.map(|it| (it.status, it.words))
}

/// A server in memory, which says of [`SERVICE`] what the test tells it to.
pub(crate) struct Ward {
    reporter: HealthReporter,
    pub(crate) manner: Manner,
    /// Killed on drop.
    host: Host,
}

impl Ward {
    pub(crate) async fn new(net: &Net, name: &str, is_serving: bool) -> Self {
        let accepted = net.accept(name);
        let accepted = UnboundedReceiverStream::new(accepted).map(io::Result::Ok);
        let (reporter, service) = tonic_health::server::health_reporter();
        let manner = Manner::default();
        let router = Server::builder()
            .layer(manner.clone())
            .add_service(service)
            .add_service(EchoServer::new(EchoService));
        let host = net.host(name, async move {
            let _ = router.serve_with_incoming(accepted).await;
        });
        let ward = Self {
            reporter,
            manner,
            host,
        };
        ward.serves(is_serving).await;
        ward
    }

    pub(crate) async fn serves(&self, is_serving: bool) {
        let status = if is_serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        self.reporter.set_service_status(SERVICE, status).await;
    }

    /// Nothing passes on its connections any more.
    pub(crate) fn freezes(&self) {
        self.host.freeze();
    }

    /// What it says does not arrive, until it goes on.
    pub(crate) fn holds(&self) {
        self.host.hold();
    }

    pub(crate) fn goes_on(&self) {
        self.host.go_on();
    }

    /// It does not know the service any more: its watches end.
    pub(crate) async fn forgets(&self) {
        self.reporter.clone().clear_service_status(SERVICE).await;
    }
}
