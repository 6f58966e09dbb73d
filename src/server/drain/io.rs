use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::shared::{Open, Shared};

/// A connection of a draining server: it fails at the hard stop, whatever its peer does.
///
/// [`Drain::incoming`](super::Drain::incoming) and [`Drain::wrap`](super::Drain::wrap) make it. Its
/// `connect_info` is that of the connection in it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::Drain;
/// use grpc_resilience::drain::DrainIo;
/// use tokio::io::{DuplexStream, duplex};
///
/// let drain = Drain::builder().build()?;
/// let (_client, server) = duplex(1024);
/// let connection: DrainIo<DuplexStream> = drain.wrap(server);
/// # Ok(())
/// # }
/// ```
#[pin_project]
#[derive(Debug)]
pub struct DrainIo<IO> {
    #[pin]
    io: IO,
    // One for each side, because a split connection is read and written by different tasks.
    read: Stop,
    write: Stop,
    open: Open,
    closed: Option<DropGuard>,
}

impl<IO> DrainIo<IO> {
    pub(super) fn new(io: IO, shared: &Arc<Shared>) -> Self {
        Self::until(io, shared, &shared.stop)
    }

    /// It fails once the token is cancelled.
    pub(super) fn until(io: IO, shared: &Arc<Shared>, stop: &CancellationToken) -> Self {
        // Tokens of their own, since all that wait for one token share its lock.
        let (read, write) = (Stop::new(stop), Stop::new(stop));
        let (open, closed) = (shared.opened(), None);
        Self {
            io,
            read,
            write,
            open,
            closed,
        }
    }

    /// Cancels the token once it is dropped.
    pub(super) fn tell(mut self, closed: CancellationToken) -> Self {
        self.closed = Some(closed.drop_guard());
        self
    }
}

/// Wakes the task that polled it last, when the connection has to end.
#[derive(Debug)]
struct Stop(Pin<Box<WaitForCancellationFutureOwned>>);

impl Stop {
    fn new(stop: &CancellationToken) -> Self {
        Self(Box::pin(stop.child_token().cancelled_owned()))
    }

    /// Fails once the connection has to end; otherwise the task is woken then. It comes before the
    /// connection itself, because a peer that never pauses keeps that one ready.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.0.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the server cut the connection off: its grace is over",
            )),
            Poll::Pending => Ok(()),
        }
    }
}

impl<IO: AsyncRead> AsyncRead for DrainIo<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        this.read.check(cx)?;
        this.io.poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite> AsyncWrite for DrainIo<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.write.check(cx)?;
        this.io.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.write.check(cx)?;
        this.io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.write.check(cx)?;
        this.io.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.write.check(cx)?;
        this.io.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl<IO: Connected> Connected for DrainIo<IO> {
    type ConnectInfo = IO::ConnectInfo;

    fn connect_info(&self) -> IO::ConnectInfo {
        self.io.connect_info()
    }
}
