//! The server behind the proxies, which clients also call without one.

use std::io;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Duration;

use foreign::Failure;
use foreign::echo::{self, Begun, Noting};
use foreign::oracle::Oracle;
use rand::RngExt as _;
use test_protos::EchoServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Answers unary calls and client streams, and notes the id of each that begins.
pub(crate) struct Server {
    pub(crate) port: u16,
    begun: Begun,
    task: JoinHandle<()>,
}

/// For how many milliseconds a connection lives, chosen for each at random.
pub(crate) type Ages = Range<u64>;

impl Server {
    /// A server that ends its connections at these ages, or never.
    pub(crate) async fn start(ages: Option<Ages>) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (service, begun) = echo::service();
        let task = tokio::spawn(async move {
            let ended = accept(&listener, &service, ages).await;
            eprintln!("the server ends: {ended:?}");
        });
        Ok(Self { port, begun, task })
    }

    pub(crate) fn begun(&self) -> Oracle {
        self.begun.oracle()
    }
}

/// tonic ages all connections of a server alike, so each has a server of its own.
async fn accept(
    listener: &TcpListener,
    service: &EchoServer<Noting>,
    ages: Option<Ages>,
) -> Result<(), Failure> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let mut server = tonic::transport::Server::builder();
        if let Some(ages) = &ages {
            let age = rand::rng().random_range(ages.clone());
            server = server.max_connection_age(Duration::from_millis(age));
        }
        // This returns at once: the connection has a task of its own.
        server
            .add_service(service.clone())
            .serve_with_incoming(tokio_stream::once(io::Result::<TcpStream>::Ok(socket)))
            .await?;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
