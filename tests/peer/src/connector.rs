//! Connectors of a user's own.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::io;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, service_fn};

/// What they connect to a server by.
pub type Socket = TokioIo<TcpStream>;

/// Where connectors do not go.
#[must_use]
pub fn nowhere() -> Endpoint {
    Endpoint::from_static("http://nowhere")
}

/// Never connects.
///
/// # Errors
///
/// None.
pub async fn hangs(_: Uri) -> Result<Socket, Infallible> {
    pending().await
}

/// Fails with an error that has a kind and no words.
///
/// # Errors
///
/// `AddrNotAvailable`, always.
pub fn fails(_: Uri) -> Ready<io::Result<Socket>> {
    ready(Err(io::ErrorKind::AddrNotAvailable.into()))
}

/// A connector that fails with these words, as one does whose handshake fails.
#[must_use]
pub fn failing_with(
    words: &'static str,
) -> impl Service<Uri, Response = Socket, Error = io::Error, Future = Ready<io::Result<Socket>>>
+ Clone
+ Send
+ 'static {
    service_fn(move |_: Uri| ready(Err(io::Error::new(io::ErrorKind::InvalidData, words))))
}

/// A connector that cannot become ready: the worker of its channel ends with it.
#[derive(Clone, Copy, Debug)]
pub struct Broken;

impl Service<Uri> for Broken {
    type Response = Socket;
    type Error = io::Error;
    type Future = Ready<io::Result<Socket>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::AddrNotAvailable.into()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(Err(io::Error::other("called though not ready")))
    }
}

/// A channel whose connector hands a connection over only when the peer has said something, or has
/// closed: what the peer said wrong is found before a request is sent.
#[must_use]
pub fn late(endpoint: &Endpoint) -> Channel {
    endpoint.connect_with_connector_lazy(service_fn(|uri: Uri| async move {
        let authority = uri.authority().ok_or(io::ErrorKind::InvalidInput)?;
        let stream = TcpStream::connect(authority.as_str()).await?;
        stream.readable().await?;
        Ok::<_, io::Error>(TokioIo::new(stream))
    }))
}
