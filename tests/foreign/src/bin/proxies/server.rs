//! The server behind the proxies.

use std::net::Ipv4Addr;

use foreign::Failure;
use foreign::echo::{self, Begun};
use foreign::oracle::Oracle;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;

/// Answers unary calls, and notes the id of each that its handler begins.
pub(crate) struct Server {
    pub(crate) port: u16,
    begun: Begun,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (service, begun) = echo::service();
        let serving = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                eprintln!("the server behind the proxy failed: {error}");
            }
        });
        Ok(Self { port, begun, task })
    }

    pub(crate) fn begun(&self) -> Oracle {
        self.begun.oracle()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
