//! A tonic server on a thread of its own.

use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use http::{Request, Response};
use tokio::runtime::Builder;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::Service;

use crate::Failure;

/// Starts one that serves this, and says where it is. It serves until the process ends.
///
/// # Errors
///
/// If it can't listen on loopback.
pub fn start<S>(service: S) -> Result<String, Failure>
where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future: Send + 'static,
        > + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = format!("http://{}", listener.local_addr()?);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let server = Server::builder().add_service(service);
            server.serve_with_incoming(incoming).await?;
            Ok::<_, Failure>(())
        })
    });
    Ok(address)
}
