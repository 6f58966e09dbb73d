//! Connectors of a user's own.

use std::convert::Infallible;
use std::future::{Pending, pending};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Uri;
use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;
use tower_service::Service;

/// Where connectors do not go.
pub(crate) fn nowhere() -> Endpoint {
    Endpoint::from_static("http://nowhere")
}

pub(crate) async fn hangs(_: Uri) -> Result<Socket, Infallible> {
    pending().await
}

pub(crate) async fn fails(_: Uri) -> io::Result<Socket> {
    Err(io::ErrorKind::AddrNotAvailable.into())
}

/// A connector that cannot become ready.
pub(crate) struct Broken;

impl Service<Uri> for Broken {
    type Response = Socket;
    type Error = io::Error;
    type Future = Pending<io::Result<Socket>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::AddrNotAvailable.into()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        pending()
    }
}

/// A channel whose connector hands a connection over only when the peer has said something, or has
/// closed: what the peer said wrong is found before a request is sent.
pub(crate) fn late(endpoint: &Endpoint) -> Channel {
    endpoint.connect_with_connector_lazy(service_fn(|uri: Uri| async move {
        let stream = TcpStream::connect(uri.authority().unwrap().as_str()).await?;
        stream.readable().await?;
        Ok::<_, io::Error>(Socket(stream))
    }))
}

/// A TCP stream as hyper wants it.
pub(crate) struct Socket(TcpStream);

impl hyper::rt::Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = vec![0; into.remaining()];
        let mut read = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut read))?;
        into.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
