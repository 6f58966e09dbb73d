//! What a hostile server costs a client of CPU time (CONTRACT C18), by the clock, over sockets.
//!
//! ```sh
//! cargo test --test channel -- floods:: --nocapture
//! ```
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the servers are threads, and the time that counts is the processor's"
)]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::Channel;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;
use tower::ServiceExt as _;

const LONG: Duration = Duration::from_secs(10);
const MS: Duration = Duration::from_millis(1);
/// Of a core, for 10 s; BENCHMARKS.md has the figures of an unoptimized build.
const MOST: f64 = if cfg!(debug_assertions) { 0.05 } else { 0.01 };

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[..], &[kind, flags], &stream, payload].concat()
}

/// What the peer writes once it has read a request.
#[derive(Clone)]
struct Flood {
    name: &'static str,
    /// Its first SETTINGS.
    settings: Vec<u8>,
    first: Vec<u8>,
    /// Again and again.
    bytes: Vec<u8>,
    /// A pause before each.
    pause: Option<Duration>,
    /// The caller drops its call after a millisecond.
    is_dropped: bool,
    body: usize,
}

fn flood(name: &'static str, bytes: Vec<u8>) -> Flood {
    Flood {
        name,
        settings: vec![],
        first: vec![],
        bytes,
        pause: None,
        is_dropped: false,
        body: 5,
    }
}

impl Flood {
    fn first(self, first: Vec<u8>) -> Self {
        Self { first, ..self }
    }

    fn paced(self, pause: Duration) -> Self {
        let pause = Some(pause);
        Self { pause, ..self }
    }

    fn serve(&self, listener: &TcpListener, accepted: &AtomicUsize) {
        while let Ok((stream, _)) = listener.accept() {
            accepted.fetch_add(1, Ordering::AcqRel);
            let flood = self.clone();
            thread::spawn(move || flood.meet(stream));
        }
    }

    /// Gives up at the first thing that fails.
    fn meet(self, stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let mut write = stream.try_clone().ok()?;
        write.write_all(&frame(4, 0, 0, &self.settings)).ok()?;
        let mut read = stream;
        read.read_exact(&mut [0; 24]).ok()?;
        let (_, ping) = until(&mut read, 6)?;
        write.write_all(&frame(6, 1, 0, &ping)).ok()?;
        until(&mut read, 1)?;
        let drain = thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while read.read(&mut buffer).is_ok_and(|read| read > 0) {}
            let _ = read.shutdown(Shutdown::Both);
        });
        write.write_all(&self.first).ok()?;
        loop {
            if let Some(pause) = self.pause {
                thread::sleep(pause);
            }
            if write.write_all(&self.bytes).is_err() {
                break;
            }
        }
        drain.join().ok()
    }

    /// The share of a core that the client's thread took.
    fn met(&self) -> Met {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let flood = self.clone();
        let accepted = Arc::<AtomicUsize>::default();
        let connections = Arc::clone(&accepted);
        thread::spawn(move || flood.serve(&listener, &accepted));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let start = Instant::now();
        let before = cpu_time();
        let calls = runtime.block_on(self.calls(&format!("http://{address}"), start));
        let core = cpu_time().saturating_sub(before).as_secs_f64() / start.elapsed().as_secs_f64();
        Met {
            core,
            calls,
            connections: connections.load(Ordering::Acquire),
        }
    }

    async fn calls(&self, target: &str, start: Instant) -> u32 {
        let channel = Channel::builder(target).max_connections(1).build().unwrap();
        let mut calls = 0;
        while start.elapsed() < LONG {
            calls += 1;
            let mut request = request(self.body);
            let most = if self.is_dropped {
                5 * MS
            } else {
                LONG.saturating_sub(start.elapsed())
            };
            request.call_options().wait_for_ready();
            let call = async {
                let answer = channel.clone().oneshot(request).await?;
                answer.into_body().collect().await
            };
            let _ = tokio::time::timeout(most, call).await;
            tokio::time::sleep(100 * MS).await;
        }
        calls
    }
}

struct Met {
    core: f64,
    calls: u32,
    connections: usize,
}

fn until(read: &mut TcpStream, kind: u8) -> Option<(u32, Vec<u8>)> {
    loop {
        let mut head = [0; 9];
        read.read_exact(&mut head).ok()?;
        let [a, b, c, found, flags, stream @ ..] = head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let mut payload = vec![0; length];
        read.read_exact(&mut payload).ok()?;
        if found == kind && (kind != 6 || flags & 1 == 0) {
            return Some((u32::from_be_bytes(stream), payload));
        }
    }
}

/// The CPU time of this thread.
fn cpu_time() -> Duration {
    let read = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(read.split(' ').next().unwrap().parse().unwrap())
}

fn request(bytes: usize) -> Request<Body> {
    let body = Full::new(Bytes::from(vec![0; bytes]));
    Request::post("/test.v1.Echo/Unary")
        .header("content-type", "application/grpc")
        .body(Body::new(body))
        .unwrap()
}

/// A head of 16 KiB that says the longest entry of the compression's table thousands of times.
fn bomb(status: &[u8]) -> Vec<u8> {
    let mut block = status.to_vec();
    block.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    block.extend([b'b'; 4_000]);
    block.extend([0xbe; 12_000]);
    block
}

/// As fast as it can, and as slowly as keeps the connection.
fn floods() -> Vec<Flood> {
    let ping = frame(6, 0, 0, &[7; 8]);
    let window = |stream, bytes: u32| frame(8, 0, stream, &bytes.to_be_bytes());
    let setting = |window: u32| [&[0, 4][..], &window.to_be_bytes()].concat();
    let settings = [frame(4, 0, 0, &setting(0)), frame(4, 0, 0, &setting(9))].concat();
    let reset = frame(3, 0, 1_001, &[0, 0, 0, 8]);
    let head = frame(1, 4, 1, &[0x88]);
    let open_head = frame(1, 0, 1, &[0x88]);
    let interim = frame(1, 4, 1, &bomb(&[0x08, 3, b'1', b'0', b'3']));
    let last = frame(1, 5, 1, &bomb(&[0x88]));
    let tiny = |name| Flood {
        settings: setting(0),
        body: 4 << 20,
        ..flood(name, window(1, 1))
    };
    let dropped = |it: Flood| Flood {
        is_dropped: true,
        ..it
    };
    vec![
        flood("nothing", vec![]).paced(LONG),
        flood("PING", ping.clone()),
        flood("PING, 1,000/s", ping.clone()).paced(MS),
        flood("PING, 90/s", ping).paced(11 * MS),
        flood("PONG, 90/s", frame(6, 1, 0, &[7; 8])).paced(11 * MS),
        flood("SETTINGS", settings.clone()),
        flood("SETTINGS, 9/s", settings).paced(230 * MS),
        flood("WINDOW_UPDATE", window(0, 1)),
        flood("WINDOW_UPDATE, 90/s", window(0, 1)).paced(11 * MS),
        flood("RST_STREAM", reset.clone()),
        flood("RST_STREAM, 90/s", reset).paced(11 * MS),
        flood("CONTINUATION", frame(9, 0, 1, &[0x40; 1_024])).first(open_head.clone()),
        flood("CONTINUATION, empty", frame(9, 0, 1, &[])).first(open_head),
        flood("DATA, empty", frame(0, 0, 1, &[])).first(head.clone()),
        flood("DATA, empty, 90/s", frame(0, 0, 1, &[]))
            .first(head)
            .paced(11 * MS),
        flood("bytes, 90/s", vec![7])
            .first(vec![0, 16, 0, 200, 0, 0, 0, 0, 0])
            .paced(11 * MS),
        flood("header bombs, interim", interim.clone()),
        flood("header bombs, interim, 2/s", interim).paced(520 * MS),
        flood("header bombs", last.clone()),
        dropped(flood("header bombs after a reset", last)),
        tiny("window of zero, byte by byte"),
        tiny("window of zero, 10,000 bytes/s").paced(MS / 10),
        tiny("window of zero, 90 bytes/s").paced(11 * MS),
    ]
}

// CONTRACT C18: a thread's own CPU time, so they may run at once
#[test]
fn no_flood_takes_much_of_a_core() {
    let met: Vec<_> = floods()
        .into_iter()
        .map(|flood| thread::spawn(move || (flood.name, flood.met())))
        .collect();
    let met: Vec<_> = met.into_iter().map(|it| it.join().unwrap()).collect();
    for (name, met) in &met {
        let (core, calls, connections) = (met.core * 100.0, met.calls, met.connections);
        println!("{name}: {core:.2} % of a core, {calls} calls, {connections} connections");
    }
    for (name, Met { core, calls, .. }) in met {
        assert!(core <= MOST, "{name}: {core} of a core");
        assert!(calls > 0, "{name}");
    }
}
