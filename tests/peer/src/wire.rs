//! What a connection runs over: a socket, or a pipe in memory for a paused clock.

use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower::Service;

/// What either end can write before the other has to read.
const BUFFER: usize = 64 * 1024;

/// The peer's end of a connection.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Lets the drop that follows reset the connection.
    fn reset(&mut self) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn reset(&mut self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

/// It knows no reset, so the client reads to the end of what the peer has written.
impl Wire for DuplexStream {
    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects to a [`Peer`](crate::Peer) in memory, whatever the address.
///
/// Over a socket the clock of tokio jumps while bytes are on their way, and a connect timeout ends
/// a connection that nothing holds up.
#[derive(Clone, Debug)]
pub struct Dialer(pub(crate) mpsc::UnboundedSender<DuplexStream>);

impl<A> Service<A> for Dialer {
    type Response = DuplexStream;
    type Error = io::Error;
    type Future = Ready<io::Result<DuplexStream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: A) -> Self::Future {
        let (client, peer) = duplex(BUFFER);
        let sent = self.0.send(peer);
        ready(match sent {
            Ok(()) => Ok(client),
            Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        })
    }
}
