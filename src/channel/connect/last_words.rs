use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::channel::connection::Io;

/// A transport below a TLS handshake.
///
/// A server that refuses the handshake sends an alert and closes. If this side still has something
/// to say, its write fails, and the alert would lie unread. Therefore a failed write counts as done
/// until the handshake is over, and the alert, or the end of what can be read, ends it.
pub(super) struct LastWords {
    io: Box<dyn Io>,
    is_over: bool,
}

impl LastWords {
    pub(super) fn new(io: Box<dyn Io>) -> Self {
        Self { io, is_over: false }
    }

    /// From now on writes fail as they do.
    pub(super) fn handshake_is_over(&mut self) {
        self.is_over = true;
    }

    fn written(&self, written: Poll<io::Result<usize>>, offered: usize) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(_)) if !self.is_over => Poll::Ready(Ok(offered)),
            written => written,
        }
    }
}

impl AsyncRead for LastWords {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for LastWords {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(written, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = bufs.iter().map(|it| it.len()).sum();
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(written, offered)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx).map_ok(|()| 0);
        self.written(flushed, 0).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn what_a_peer_said_before_it_closed_is_read_though_writes_fail() {
        let (ours, mut theirs) = duplex(100);
        theirs.write_all(b"alert").await.unwrap();
        drop(theirs);
        let mut io = LastWords::new(Box::new(ours));
        io.write_all(b"more").await.unwrap();
        let written = io.write_vectored(&[IoSlice::new(b"more")]).await;
        assert_eq!(written.unwrap(), 4);
        io.flush().await.unwrap();
        let mut read = String::new();
        io.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "alert");
        io.handshake_is_over();
        io.write_all(b"more").await.unwrap_err();
    }
}
