//! Windows that grow with the connection (`http2_adaptive_window`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::channel::{Address, Builder, Channel};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tower::service_fn;

use crate::common::*;

const MIB: usize = 1 << 20;
/// One way.
const LATENCY: Duration = Duration::from_millis(50);
const DATA: u8 = 0;
const PING: u8 = 6;

/// What passed on a line.
#[derive(Default)]
struct Line {
    pings: AtomicUsize,
    /// PINGs without DATA since the one before: grpc-go's servers count these.
    strikes: AtomicUsize,
    data: AtomicUsize,
}

impl Line {
    fn passes(&self, kind: u8, is_ack: bool) {
        if kind == DATA {
            self.data.fetch_add(1, Ordering::AcqRel);
        } else if kind == PING && !is_ack {
            self.pings.fetch_add(1, Ordering::AcqRel);
            let is_strike = self.data.swap(0, Ordering::AcqRel) == 0;
            self.strikes
                .fetch_add(usize::from(is_strike), Ordering::AcqRel);
        }
    }
}

/// Carries bytes, each so much later than it came.
fn carry(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    sees: impl Fn(u8, bool) + Send + 'static,
    preface: usize,
) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        let mut buffer = vec![0; MIB];
        while let Ok(read) = from.read(&mut buffer).await {
            if read == 0
                || sender
                    .send((Instant::now() + LATENCY, buffer[..read].to_vec()))
                    .is_err()
            {
                return;
            }
        }
    });
    tokio::spawn(async move {
        let (mut left, mut head) = (preface, Vec::new());
        while let Some((at, bytes)) = receiver.recv().await {
            sleep_until(at).await;
            for byte in &bytes {
                if left > 0 {
                    left -= 1;
                    continue;
                }
                head.push(*byte);
                if let [a, b, c, kind, flags, _, _, _, _] = head[..] {
                    left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                    sees(kind, flags & 1 != 0);
                    head.clear();
                }
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
}

/// Answers each request with this number of bytes, as fast as the windows allow.
async fn serve(io: DuplexStream, bytes: usize) {
    let mut server = h2::server::handshake(io).await.unwrap();
    while let Some(Ok((_, mut respond))) = server.accept().await {
        tokio::spawn(async move {
            let mut stream = respond
                .send_response(http::Response::new(()), false)
                .unwrap();
            let mut left = bytes;
            while left > 0 {
                stream.reserve_capacity(left.min(MIB));
                let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await
                else {
                    return;
                };
                let now = room.min(left);
                stream.send_data(Bytes::from(vec![0; now]), false).unwrap();
                left -= now;
            }
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
            stream.send_trailers(trailers).unwrap();
        });
    }
}

fn far_away(bytes: usize) -> (Builder, Arc<Line>) {
    let line = Arc::<Line>::default();
    let seen = Arc::clone(&line);
    let connector = service_fn(move |_: Address| {
        let (client, ours) = duplex(4 * MIB);
        let (theirs, server) = duplex(4 * MIB);
        let (from_client, to_client) = tokio::io::split(ours);
        let (from_server, to_server) = tokio::io::split(theirs);
        let (up, down) = (Arc::clone(&seen), Arc::clone(&seen));
        carry(
            from_client,
            to_server,
            move |kind, is_ack| {
                if kind == PING {
                    up.passes(kind, is_ack);
                }
            },
            24,
        );
        carry(
            from_server,
            to_client,
            move |kind, is_ack| {
                if kind == DATA {
                    down.passes(kind, is_ack);
                }
            },
            0,
        );
        tokio::spawn(serve(server, bytes));
        std::future::ready(io::Result::Ok(client))
    });
    let builder = Channel::builder("unix:far").connector(connector);
    (
        builder
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(65_535),
        line,
    )
}

/// How long a response of this size takes.
async fn download(channel: &Channel) -> Duration {
    let start = Instant::now();
    let body = call(channel).await.unwrap().into_body();
    body.collect().await.unwrap();
    start.elapsed()
}

// CONTRACT C14: BDP estimate
#[tokio::test(start_paused = true)]
async fn the_windows_of_a_distant_server_grow_if_they_may() {
    let (builder, _) = far_away(8 * MIB);
    let fixed = download(&connected(builder).await).await;
    // 64 KiB in a round trip of 100 ms.
    assert!(fixed > Duration::from_secs(12), "{fixed:?}");
    let (builder, line) = far_away(8 * MIB);
    let channel = connected(builder.http2_adaptive_window(true)).await;
    let first = download(&channel).await;
    assert!(first < fixed / 4, "{first:?} instead of {fixed:?}");
    let second = download(&channel).await;
    assert!(
        second < Duration::from_millis(700),
        "{second:?}, the windows have grown"
    );
    let pings = line.pings.load(Ordering::Acquire);
    assert!((4..=25).contains(&pings), "{pings}");
}

// CONTRACT C6: PINGs that no server counts as too many
#[tokio::test(start_paused = true)]
async fn the_estimate_pings_only_after_data_and_ever_more_rarely() {
    let (builder, line) = far_away(40_000);
    let channel = connected(builder.http2_adaptive_window(true)).await;
    for _ in 0..600 {
        download(&channel).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let pings = line.pings.load(Ordering::Acquire);
    assert!((5..=25).contains(&pings), "{pings} in two minutes");
    // The first PING, before READY, and no other.
    assert_eq!(line.strikes.load(Ordering::Acquire), 1);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(line.pings.load(Ordering::Acquire), pings, "nothing is read");
}

// CONTRACT C11: the estimate and the keepalive share h2's one PING
#[tokio::test(start_paused = true)]
async fn a_peer_that_freezes_during_an_estimate_is_found_by_the_keepalive() {
    let net = crate::common::net::Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder().http2_adaptive_window(true)).await;
    // DATA was read: the PING of the estimate is under way, and never answered.
    let call_under_way = call(&channel).await.unwrap();
    net.freeze();
    drop(call_under_way);
    let start = Instant::now();
    let error = call(&channel).await.unwrap_err();
    assert_eq!(
        error.verdict().reason,
        grpc_resilience::classify::Reason::KeepaliveTimeout
    );
    let found = start.elapsed();
    let second = Duration::from_secs(1);
    assert!(found >= 39 * second && found < 41 * second, "{found:?}");
}
