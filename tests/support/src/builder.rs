//! How a server is put together.

use std::{convert::Infallible, sync::Arc};

use http::Request;
use test_protos::EchoServer;
use tonic::{body::Body, server::NamedService, service::RoutesBuilder};
use tower::Service;

use crate::{
    EchoService, Script, Server, connection::Connections, memory::Address, tcp::Port,
    transport::Transport,
};

/// Puts a [`Server`] together: which services, under which script, in which tonic server.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder {
    services: RoutesBuilder,
    script: Script,
    tonic: tonic::transport::Server,
}

impl Builder {
    /// Adds a service, such as the generated `XServer::new(..)`. Without any, every call that the script does not answer
    /// is UNIMPLEMENTED.
    pub fn service<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.services.add_service(service);
        self
    }

    /// Adds [`EchoService`].
    pub fn echo(self) -> Self {
        self.service(EchoServer::new(EchoService))
    }

    /// Uses a script that exists already, which several servers can share.
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// Uses a tonic server with settings of its own, such as `max_concurrent_streams`.
    pub fn tonic(mut self, tonic: tonic::transport::Server) -> Self {
        self.tonic = tonic;
        self
    }

    /// Starts the server on a free port of the loopback address.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn tcp(self) -> Server {
        let server = self.tcp_unstarted();
        server.start().await;
        server
    }

    /// Takes a free port of the loopback address, which refuses connections until [`Server::start`].
    ///
    /// The port is bound all the time: nobody who asks the system for a free port is given it.
    ///
    /// # Panics
    ///
    /// If there is no free port, or outside a tokio runtime.
    #[expect(
        clippy::expect_used,
        reason = "a test without a free port cannot go on"
    )]
    #[must_use]
    pub fn tcp_unstarted(self) -> Server {
        self.build(|connections| {
            let port = Port::reserve(connections).expect("there is a free port");
            Transport::Tcp(Arc::new(port))
        })
    }

    /// Starts the server without a socket, for tests on a paused clock.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn in_memory(self) -> Server {
        let server = self.in_memory_unstarted();
        server.start_now();
        server
    }

    /// Makes a server without a socket, which refuses connections until [`Server::start`].
    #[must_use]
    pub fn in_memory_unstarted(self) -> Server {
        self.build(|connections| Transport::Memory(Arc::new(Address::new(connections))))
    }

    fn build(self, transport: impl FnOnce(Connections) -> Transport) -> Server {
        let connections = Connections::default();
        let transport = transport(connections.clone());
        let services = self.services.routes();
        Server::new(self.tonic, services, self.script, connections, transport)
    }
}
