//! A server that is no more than bytes, in memory, and a channel to it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grpc_resilience::channel::{Address, Builder, Channel};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex};
use tokio::task::JoinHandle;
use tower::service_fn;

const PREFACE: usize = 24;
const HEAD: usize = 9;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const ACK: u8 = 1;

/// The room of the pipe, in either direction.
pub(crate) const PIPE: usize = 1 << 16;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[..], &[kind, flags], &stream, payload].concat()
}

/// A server's end, after its first SETTINGS and its answer to the first PING.
pub(crate) struct Raw {
    read: ReadHalf<DuplexStream>,
    write: WriteHalf<DuplexStream>,
}

impl Raw {
    async fn accept(io: DuplexStream) -> Self {
        let (read, mut write) = tokio::io::split(io);
        write.write_all(&frame(4, 0, 0, &[])).await.unwrap();
        let mut raw = Self { read, write };
        raw.read.read_exact(&mut [0; PREFACE]).await.unwrap();
        let (_, payload) = raw.until(PING).await;
        raw.write
            .write_all(&frame(PING, ACK, 0, &payload))
            .await
            .unwrap();
        raw
    }

    /// Reads up to a frame of this kind; its stream and payload.
    async fn until(&mut self, kind: u8) -> (u32, Vec<u8>) {
        loop {
            let mut head = [0; HEAD];
            self.read.read_exact(&mut head).await.unwrap();
            let [a, b, c, found, flags, stream @ ..] = head;
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            let mut payload = vec![0; length];
            self.read.read_exact(&mut payload).await.unwrap();
            if found == kind && (kind != PING || flags & ACK == 0) {
                return (u32::from_be_bytes(stream), payload);
            }
        }
    }

    /// After the next request, writes these bytes again and again, up to `most` of them, reading
    /// all that it gets; how many the client took, and what the pipe holds.
    pub(crate) async fn flood(mut self, first: &[u8], bytes: &[u8], most: usize) -> usize {
        self.until(HEADERS).await;
        let mut read = self.read;
        let drain = tokio::spawn(async move {
            let mut buffer = vec![0; PIPE];
            while read.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        });
        let mut written = 0;
        let mut is_open = self.write.write_all(first).await.is_ok();
        while is_open && written < most {
            is_open = self.write.write_all(bytes).await.is_ok();
            written += bytes.len();
            if bytes.len() == 1 {
                tokio::task::yield_now().await;
            }
        }
        if is_open {
            // It stays connected until the client closes.
            let _ = drain.await;
        }
        written
    }

    /// Answers nothing, and reads all, until the client closes.
    pub(crate) async fn silent(mut self) {
        let mut buffer = vec![0; 1_024];
        while self.read.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    }
}

/// A channel whose connections have such servers, each of which `serve` runs.
pub(crate) fn channel<F, T>(serve: F) -> Builder
where
    F: Fn(Raw) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    Channel::builder("unix:raw").connector(service_fn(move |_: Address| {
        let (ours, theirs) = duplex(PIPE);
        let serve = serve.clone();
        tokio::spawn(async move { serve(Raw::accept(theirs).await).await });
        std::future::ready(io::Result::Ok(ours))
    }))
}

/// A client's end, whose server reads all and answers nothing.
pub(crate) fn pipe() -> DuplexStream {
    let (ours, theirs) = duplex(PIPE);
    tokio::spawn(async move { Raw::accept(theirs).await.silent().await });
    ours
}

/// A connection of h2 itself, with the channel's windows, to such a server.
pub(crate) async fn bare(
    serves: Arc<AtomicUsize>,
) -> (h2::client::SendRequest<bytes::Bytes>, JoinHandle<()>) {
    let ours = pipe();
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(2 << 20)
        .initial_connection_window_size(5 << 20)
        .max_header_list_size(16 << 10);
    let (send, mut connection) = builder.handshake::<_, bytes::Bytes>(ours).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    pings.send_ping(h2::Ping::opaque()).unwrap();
    let task = tokio::spawn(async move {
        let mut has_pong = false;
        std::future::poll_fn(|cx| {
            if !has_pong && pings.poll_pong(cx).is_ready() {
                has_pong = true;
                serves.fetch_add(1, Ordering::AcqRel);
            }
            let polled = std::pin::Pin::new(&mut connection).poll(cx);
            if !has_pong && pings.poll_pong(cx).is_ready() {
                has_pong = true;
                serves.fetch_add(1, Ordering::AcqRel);
            }
            polled.map(drop)
        })
        .await;
    });
    (send, task)
}
