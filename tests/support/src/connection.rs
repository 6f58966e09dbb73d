//! Connections that can be cut from this side at any time.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::lock::lock;

/// Any transport.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A handle on one connection. tonic puts it into the extensions of every request that comes on it.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    id: u64,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    /// `None` once it is cut.
    io: Option<Box<dyn Io>>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Connection {
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// Closes the transport at once; who reads or writes it gets an error.
    pub(crate) fn sever(&self) {
        let Line { io, reader, writer } = std::mem::take(&mut *lock(&self.0.line));
        drop(io);
        for waker in [reader, writer].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("severed", &self.io.is_none())
            .finish_non_exhaustive()
    }
}

/// All connections of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<Registry>);

#[derive(Debug, Default)]
struct Registry {
    accepted: AtomicU64,
    open: Mutex<Vec<Weak<Shared>>>,
}

impl Connections {
    /// Counts a connection in, numbered from 1.
    pub(crate) fn admit(&self, io: impl Io) -> ServerIo {
        let shared = Arc::new(Shared {
            id: self.0.accepted.fetch_add(1, Ordering::Relaxed) + 1,
            line: Mutex::new(Line {
                io: Some(Box::new(io)),
                ..Line::default()
            }),
        });
        let mut open = lock(&self.0.open);
        open.retain(|connection| connection.strong_count() > 0);
        open.push(Arc::downgrade(&shared));
        drop(open);
        ServerIo(Connection(shared))
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.0.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn sever_all(&self) {
        let open = std::mem::take(&mut *lock(&self.0.open));
        for connection in open.iter().filter_map(Weak::upgrade) {
            Connection(connection).sever();
        }
    }
}

/// The server's end of a connection.
#[derive(Debug)]
pub(crate) struct ServerIo(Connection);

impl Drop for ServerIo {
    fn drop(&mut self) {
        self.0.sever();
    }
}

impl Connected for ServerIo {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.0.clone()
    }
}

impl ServerIo {
    /// Polls the transport for writing, unless it is cut.
    fn poll_write_with<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut dyn Io>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut line = lock(&self.0.0.line);
        let Some(io) = &mut line.io else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let polled = poll(Pin::new(&mut **io), cx);
        if polled.is_pending() {
            line.writer = Some(cx.waker().clone());
        }
        polled
    }
}

impl AsyncRead for ServerIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut line = lock(&self.0.0.line);
        let Some(io) = &mut line.io else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let polled = Pin::new(&mut **io).poll_read(cx, buf);
        if polled.is_pending() {
            line.reader = Some(cx.waker().clone());
        }
        polled
    }
}

impl AsyncWrite for ServerIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |io, cx| io.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_with(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_with(cx, AsyncWrite::poll_shutdown)
    }
}
