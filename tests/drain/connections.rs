//! One connection of a draining server, below any HTTP.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::Poll;

use grpc_resilience::Drain;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, duplex, split};
use tokio::time::{Instant, sleep};
use tonic::transport::server::Connected;

use crate::site::SECOND;

fn drain() -> Drain {
    Drain::builder()
        .no_notice()
        .grace(20 * SECOND)
        .build()
        .unwrap()
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn both_halves_of_a_connection_are_woken_at_the_hard_stop() {
    let drain = drain();
    let (_peer, ours) = duplex(16);
    let (mut read, mut write) = split(drain.wrap(ours));
    let begin = Instant::now();
    let reads = tokio::spawn(async move { (read.read_u8().await.unwrap_err(), begin.elapsed()) });
    let writes = tokio::spawn(async move {
        let failed = write.write_all(&[0; 17]).await.unwrap_err();
        (failed, begin.elapsed())
    });
    drain.start();
    for half in [reads, writes] {
        let (error, after) = half.await.unwrap();
        assert_eq!((error.kind(), after), (ErrorKind::TimedOut, 20 * SECOND));
        assert!(error.to_string().contains("grace is over"), "{error}");
    }
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_pauses_is_cut_off_as_well() {
    let drain = drain();
    let mut reads = drain.wrap(tokio::io::repeat(0));
    let mut writes = drain.wrap(tokio::io::sink());
    drain.start();
    sleep(19 * SECOND).await;
    reads.read_u8().await.unwrap();
    writes.write_all(&[0]).await.unwrap();
    writes.flush().await.unwrap();
    sleep(2 * SECOND).await;
    let errors = [
        reads.read_u8().await.err(),
        writes.write_all(&[0]).await.err(),
        writes.write_vectored(&[IoSlice::new(&[0])]).await.err(),
        writes.flush().await.err(),
        writes.shutdown().await.err(),
    ];
    let kinds = errors.map(|error| error.map(|it| it.kind()));
    assert_eq!(kinds, [Some(ErrorKind::TimedOut); 5]);
}

/// Whether it writes several buffers at once, as TCP does.
struct Tcp(bool);

impl AsyncRead for Tcp {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
        _buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
        _buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(1))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bufs.len()))
    }

    fn is_write_vectored(&self) -> bool {
        self.0
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Connected for Tcp {
    type ConnectInfo = &'static str;

    fn connect_info(&self) -> &'static str {
        "10.0.0.1"
    }
}

#[tokio::test]
async fn a_connection_writes_several_buffers_at_once_and_keeps_its_address() {
    let mut io = drain().wrap(Tcp(true));
    assert!(io.is_write_vectored());
    let buffers = [
        IoSlice::new(b"ab"),
        IoSlice::new(b"cd"),
        IoSlice::new(b"ef"),
    ];
    let written = poll_fn(|cx| Pin::new(&mut io).poll_write_vectored(cx, &buffers)).await;
    assert_eq!(written.unwrap(), 3);
    assert_eq!(io.connect_info(), "10.0.0.1");
    assert!(!drain().wrap(Tcp(false)).is_write_vectored());
}
