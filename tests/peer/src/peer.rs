//! The listener, and what a test asks it.

use std::net::SocketAddr;

use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::address::{self, DeadPort};
use crate::connection::Host;
use crate::journal::{Journal, Word};
use crate::wire::{Dialer, Wire};
use crate::{Connection, SeenReset, SeenStream, Stream};

/// A scripted HTTP/2 server on a free loopback port; it is gone, with all its connections, when dropped.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    dialer: Dialer,
    journal: Journal,
    /// The one task that accepts and owns the connections.
    reception: JoinSet<()>,
}

impl Peer {
    /// Listens. Each connection meets the next script; all later ones get a correct OK for every stream.
    #[must_use = "a dropped peer is gone"]
    pub async fn start(connections: impl IntoIterator<Item = Connection>) -> Self {
        Self::start_at(DeadPort::new(), connections).await
    }

    /// As [`start`](Self::start), but every connection meets the same script.
    #[must_use = "a dropped peer is gone"]
    pub async fn always(connection: Connection) -> Self {
        Self::listen(DeadPort::new(), Vec::new(), connection).await
    }

    /// As [`start`](Self::start), but every stream meets the same script.
    #[must_use = "a dropped peer is gone"]
    pub async fn answering(stream: Stream) -> Self {
        Self::always(Connection::new().other_streams(stream)).await
    }

    /// As [`start`](Self::start), on a port that refused connections until now.
    #[must_use = "a dropped peer is gone"]
    pub async fn start_at(
        port: DeadPort,
        connections: impl IntoIterator<Item = Connection>,
    ) -> Self {
        let connections = connections.into_iter().collect();
        Self::listen(port, connections, Connection::new()).await
    }

    #[expect(
        clippy::unused_async,
        reason = "only a runtime can listen, so only an async test may start"
    )]
    async fn listen(port: DeadPort, scripts: Vec<Connection>, then: Connection) -> Self {
        let (listener, address) = port.listen();
        let journal = Journal::new();
        let (dialler, pipes) = mpsc::unbounded_channel();
        let desk = Desk {
            scripts: scripts.into_iter(),
            then,
            journal: journal.clone(),
            connections: JoinSet::new(),
        };
        let mut reception = JoinSet::new();
        reception.spawn(desk.receive(listener, pipes));
        Self {
            address,
            dialer: Dialer(dialler),
            journal,
            reception,
        }
    }

    /// Cuts all connections and stops listening; the port stays taken and refuses from now on.
    pub async fn stop(mut self) -> DeadPort {
        self.reception.shutdown().await;
        DeadPort::at(self.address)
    }

    /// Where it listens: `http://127.0.0.1:port`.
    #[must_use]
    pub fn uri(&self) -> String {
        address::uri(self.address)
    }

    /// What connects to it in memory instead of over its port.
    #[must_use]
    pub fn dialer(&self) -> Dialer {
        self.dialer.clone()
    }

    /// All streams whose HEADERS have arrived, in the order of arrival.
    #[must_use]
    pub fn streams_seen(&self) -> Vec<SeenStream> {
        self.journal.read(|seen| seen.streams.clone())
    }

    /// Whether the first thing that was said of this stream proves that it was not processed:
    /// `REFUSED_STREAM`, or a GOAWAY below it.
    #[must_use]
    pub fn disowned(&self, stream: &SeenStream) -> bool {
        let of_stream = (stream.connection, stream.id);
        self.journal
            .read(|seen| seen.words.get(&of_stream) == Some(&Word::Disowned))
    }

    /// Whether the first thing that was said of this stream is that it had no effect.
    #[must_use]
    pub fn vouched(&self, stream: &SeenStream) -> bool {
        let of_stream = (stream.connection, stream.id);
        self.journal
            .read(|seen| seen.words.get(&of_stream) == Some(&Word::Vouched))
    }

    /// Whether the peer has reset this TCP connection, counted from 0: what it said last may be lost.
    #[must_use]
    pub fn aborted(&self, connection: usize) -> bool {
        self.journal.read(|seen| seen.aborted.contains(&connection))
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.journal.read(|seen| seen.connections.len())
    }

    /// How many of them neither side has closed yet.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.journal
            .read(|seen| seen.connections.iter().filter(|seen| !seen.closed).count())
    }

    /// All `RST_STREAM` frames of clients, in the order of arrival.
    #[must_use]
    pub fn resets_received(&self) -> Vec<SeenReset> {
        self.journal.read(|seen| seen.resets.clone())
    }

    /// How many PINGs the clients have sent.
    #[must_use]
    pub fn pings_received(&self) -> usize {
        self.journal
            .read(|seen| seen.connections.iter().map(|seen| seen.pings).sum())
    }

    /// Waits until so many streams have been seen in all.
    pub async fn wait_for_streams(&self, count: usize) {
        self.journal.until(|seen| seen.streams.len() >= count).await;
    }

    /// Waits until so many requests have arrived whole.
    pub async fn wait_for_requests(&self, count: usize) {
        self.journal
            .until(|seen| seen.streams.iter().filter(|stream| stream.complete).count() >= count)
            .await;
    }

    /// Waits until so many `RST_STREAM` frames have been received in all.
    pub async fn wait_for_resets(&self, count: usize) {
        self.journal.until(|seen| seen.resets.len() >= count).await;
    }

    /// Waits until so many connections have been accepted in all.
    pub async fn wait_for_connections(&self, count: usize) {
        self.journal
            .until(|seen| seen.connections.len() >= count)
            .await;
    }

    /// Waits until so many connections have been closed in all.
    pub async fn wait_for_closed(&self, count: usize) {
        self.journal
            .until(|seen| seen.connections.iter().filter(|seen| seen.closed).count() >= count)
            .await;
    }

    /// Waits until the client has acknowledged the first SETTINGS of this connection, counted from 0.
    pub async fn settings_acknowledged(&self, connection: usize) {
        self.journal
            .until(|seen| {
                seen.connection(connection)
                    .is_some_and(|seen| seen.settings_acknowledged)
            })
            .await;
    }
}

/// Gives each connection the next script.
struct Desk {
    scripts: std::vec::IntoIter<Connection>,
    then: Connection,
    journal: Journal,
    connections: JoinSet<()>,
}

impl Desk {
    async fn receive(
        mut self,
        listener: TcpListener,
        mut dialled: mpsc::UnboundedReceiver<DuplexStream>,
    ) {
        loop {
            tokio::select! {
                Some(_) = self.connections.join_next() => {}
                accepted = listener.accept() => {
                    // A client that gave up in the queue is not a connection.
                    let Ok((socket, _)) = accepted else { continue };
                    if socket.set_nodelay(true).is_ok() {
                        self.take(socket);
                    }
                }
                Some(pipe) = dialled.recv() => self.take(pipe),
            }
        }
    }

    fn take(&mut self, wire: impl Wire) {
        let script = self.scripts.next().unwrap_or_else(|| self.then.clone());
        let number = self.journal.connected();
        let host = Host::new(number, wire, script, self.journal.clone());
        self.connections.spawn(host.run());
    }
}
