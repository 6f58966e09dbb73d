//! A server that runs in the test's own runtime.

use std::{net::SocketAddr, sync::Mutex, time::Duration};

use http::Uri;
use tokio::task::JoinHandle;
use tonic::{service::Routes, transport::Endpoint};
use transports::Channel;

use crate::{
    Answer, Builder, Script, connection::Connections, layer::ScriptLayer, lock::lock, log::CallLog,
    transport::Transport,
};

/// A real tonic server whose answers a [`Script`] decides, and which remembers every
/// [`Call`](crate::Call).
///
/// It runs on the runtime it was started in, and stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    tonic: tonic::transport::Server,
    services: Routes,
    pub(crate) layer: ScriptLayer,
    connections: Connections,
    transport: Transport,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

/// Making one.
impl Server {
    /// A server without services, to be completed.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// An [`EchoService`](crate::EchoService) on a free port of the loopback address.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn tcp() -> Self {
        Self::builder().echo().tcp().await
    }

    /// Like [`tcp`](Self::tcp), with a port that refuses connections until [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// If there is no free port, or outside a tokio runtime.
    #[must_use]
    pub fn tcp_unstarted() -> Self {
        Self::builder().echo().tcp_unstarted()
    }

    /// An [`EchoService`](crate::EchoService) without a socket, for tests on a paused clock.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::builder().echo().in_memory()
    }

    /// Like [`in_memory`](Self::in_memory), but no call is ever answered.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn hanging() -> Self {
        let server = Self::in_memory();
        server.script().otherwise(Answer::hang());
        server
    }

    /// Like [`in_memory`](Self::in_memory), refusing connections until [`start`](Self::start).
    #[must_use]
    pub fn in_memory_unstarted() -> Self {
        Self::builder().echo().in_memory_unstarted()
    }

    pub(crate) fn new(
        tonic: tonic::transport::Server,
        services: Routes,
        script: Script,
        connections: Connections,
        transport: Transport,
    ) -> Self {
        Self {
            tonic,
            services,
            layer: ScriptLayer {
                script,
                log: CallLog::default(),
            },
            connections,
            transport,
            accepting: Mutex::default(),
        }
    }
}

/// Running it.
impl Server {
    /// Accepts connections on the same address as before; does nothing if the server runs.
    ///
    /// # Panics
    ///
    /// If the port was lost. On Linux it is held all the time; elsewhere it is free for a moment in
    /// [`stop`](Self::stop).
    #[expect(
        clippy::unused_async,
        reason = "promises that a runtime is there, and leaves room to wait for it"
    )]
    pub async fn start(&self) {
        self.start_now();
    }

    #[expect(
        clippy::expect_used,
        reason = "a test whose server cannot start cannot go on"
    )]
    pub(crate) fn start_now(&self) {
        let mut accepting = lock(&self.accepting);
        if accepting.is_some() {
            return;
        }
        let accepted = self.transport.open().expect("the port is still ours");
        let serving = self
            .tonic
            .clone()
            .layer(self.layer.clone())
            .add_routes(self.services.clone())
            .serve_with_incoming(accepted);
        *accepting = Some(tokio::spawn(async move {
            // Ends well when the transport closes; an error of `accept` has closed it.
            let _ = serving.await;
        }));
    }

    /// Closes all connections at once, and refuses new ones until [`start`](Self::start).
    ///
    /// The script and the record of calls stay.
    pub fn stop(&self) {
        let accepting = lock(&self.accepting).take();
        self.transport.close();
        self.connections.sever_all();
        if let Some(task) = accepting {
            task.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reaching it.
impl Server {
    /// Where it listens; `None` in memory.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        self.transport.addr()
    }

    /// Where a client finds it; a name that stands for nothing in memory.
    #[must_use]
    pub fn uri(&self) -> Uri {
        self.transport.uri()
    }

    /// An endpoint for this server, to be refined and given to
    /// [`connect_lazy`](Self::connect_lazy).
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::from(self.uri())
    }

    /// A channel to this server, over the transport of this test: tonic's dials at the first call.
    ///
    /// Needs a tokio runtime.
    #[must_use]
    pub fn channel(&self) -> Channel {
        match transports::Transport::current() {
            transports::Transport::Tonic => self.connect_lazy(&self.endpoint()).into(),
            transports::Transport::Ours => self.transport.ours().into(),
        }
    }

    /// tonic's channel with the endpoint's settings, which dials at the first call: over TCP
    /// wherever the endpoint says, in memory always this server.
    ///
    /// Needs a tokio runtime.
    #[must_use]
    pub fn connect_lazy(&self, endpoint: &Endpoint) -> tonic::transport::Channel {
        self.transport.connect_lazy(endpoint)
    }

    /// How often a client tried to connect: in memory every time, refused or not; over TCP only the
    /// connections that were accepted, for the server does not hear of others.
    #[must_use]
    pub fn dials(&self) -> u64 {
        self.transport.dials().unwrap_or_else(|| self.connections())
    }

    /// In memory, lets each attempt to connect take this long, on tokio's clock, before it succeeds
    /// or is refused. Over TCP it changes nothing.
    pub fn set_dial_time(&self, time: Duration) {
        self.transport.set_dial_time(time);
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.accepted()
    }
}
