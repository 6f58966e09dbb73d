//! Watches over a server in memory, which writes an answer at once: they read it together.

use std::time::Duration;

use bytes::Bytes;
use h2::server::{SendResponse, handshake};
use http::{HeaderMap, HeaderValue, Response};
use tokio::io::duplex;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::super::status::Health;
use super::*;
use crate::backoff::ConnectionBackoff;
use crate::channel::connection::{Http2, Io, MaxRequests, Plan, Progress, Rest, Watcher, connect};
use crate::channel::lines::Lines;
use crate::channel::load::Load;
use crate::ready::Bounds;

/// What a watch of the server sends at once, and then its end, if it ends.
#[derive(Clone, Default)]
struct Script {
    data: Vec<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Script {
    fn play(self, mut respond: SendResponse<Bytes>) -> Option<h2::SendStream<Bytes>> {
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        for data in self.data {
            stream.send_data(data, false).unwrap();
        }
        match self.trailers {
            Some(trailers) => {
                stream.send_trailers(trailers).unwrap();
                None
            }
            None => Some(stream),
        }
    }
}

struct Ignores;

impl Watcher for Ignores {
    fn opened(&self) {}
    fn leaving(&self, _: &Arc<Connection>) {}
    fn served_late(&self) {}
    fn silent(&self, _: &Arc<Connection>) {}
    fn answers(&self, _: &Arc<Connection>) {}
    fn idle(&self, _: &Arc<Connection>, _: Duration) -> Rest {
        Rest::Closed
    }
    fn over(&self, _: &Arc<Connection>, _: Result<(), h2::Error>) {}
}

/// A watch of a server whose watches go so, one after another; what follows is silent.
async fn watch(scripts: impl IntoIterator<Item = Script, IntoIter: Send + 'static>) -> Watch {
    let (ours, theirs) = duplex(1 << 16);
    let mut scripts = scripts.into_iter();
    tokio::spawn(async move {
        let mut server = handshake(theirs).await.unwrap();
        let mut open = Vec::new();
        while let Some(Ok((_, respond))) = server.accept().await {
            open.extend(scripts.next().unwrap_or_default().play(respond));
        }
    });
    let plan = Plan {
        endpoint: "test".into(),
        load: Arc::new(Load::new(Instant::now())),
        http2: Http2::default(),
        has_watch: true,
        max_requests: MaxRequests::default(),
        keepalive: None,
        max_idle: None,
        connect_timeout: Duration::from_secs(5),
        queue: Arc::new(Lines::new(Bounds::default(), &Handle::current())),
        complaints: Arc::default(),
    };
    let io = async { Ok(Box::new(ours) as Box<dyn Io>) };
    let connected = connect(plan, &Progress::default(), io, Arc::new(Ignores)).await;
    let check = Check::new("a".into(), |head| {
        *head.uri_mut() = http::Uri::from_static("http://test/grpc.health.v1.Health/Watch");
    });
    let backoff = Arc::new(ConnectionBackoff::new());
    Watch::new(Arc::new(check), connected.unwrap(), backoff, Rng::seeded(1))
}

/// A message of this size at least, with this status.
fn says(status: u8, size: usize) -> Bytes {
    // An unknown field takes the rest.
    let rest = size.saturating_sub(5 + 2 + 4);
    let seven_bits = |bits: usize| u8::try_from(bits).unwrap() | 0x80;
    let length = [seven_bits(rest & 0x7f), seven_bits(rest >> 7), 0];
    let message = [&[8, status], &[0x12][..], &length, &vec![0; rest]].concat();
    let prefix = u32::try_from(message.len()).unwrap().to_be_bytes();
    Bytes::from([&[0], &prefix[..], &message].concat())
}

fn trailers(status: &'static str, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    trailers.insert("grpc-message", message.parse().unwrap());
    trailers
}

/// The next answer, within a minute.
async fn next(watch: &mut Watch) -> Answer {
    let next = timeout(Duration::from_secs(60), watch.next());
    next.await.expect("an answer").expect("it goes on")
}

// CONTRACT G1
#[tokio::test(start_paused = true)]
async fn a_message_counts_though_another_one_has_begun() {
    let data = vec![says(1, 0), Bytes::from_static(&[0, 0])];
    let mut watch = watch([Script {
        data,
        trailers: None,
    }])
    .await;
    assert_eq!(next(&mut watch).await.health, Health::Serving);
}

// CONTRACT G3
#[tokio::test(start_paused = true)]
async fn a_message_is_told_before_the_end_that_comes_with_it() {
    let script = Script {
        data: vec![says(1, 0)],
        trailers: Some(trailers("0", "")),
    };
    let mut watch = watch([script]).await;
    assert_eq!(next(&mut watch).await.health, Health::Serving);
    assert_eq!(next(&mut watch).await.health, Health::Ended);
}

// CONTRACT C14, G1
#[tokio::test(start_paused = true)]
async fn messages_beyond_the_window_of_a_stream_are_read() {
    let window = Http2::default().stream_window as usize;
    let size = 16_000;
    let mut data = vec![says(1, size); window / size + 10];
    data.push(says(2, 0));
    let mut watch = watch([Script {
        data,
        trailers: None,
    }])
    .await;
    assert_eq!(next(&mut watch).await.health, Health::Serving);
    assert_eq!(next(&mut watch).await.health, Health::NotServing);
}

// CONTRACT G3, C18
#[tokio::test(start_paused = true)]
async fn a_long_text_at_the_end_is_cut() {
    let script = Script {
        data: Vec::new(),
        trailers: Some(trailers("14", &"x".repeat(1_000))),
    };
    let answer = next(&mut watch([script]).await).await;
    assert_eq!(answer.health, Health::Ended);
    assert_eq!(&*answer.words, format!("UNAVAILABLE: {}", "x".repeat(200)));
}

// CONTRACT G3
#[tokio::test(start_paused = true)]
async fn each_watch_that_ends_without_a_message_is_followed_by_a_longer_pause() {
    let ends = |data| Script {
        data,
        trailers: Some(trailers("14", "")),
    };
    let told = |status: u8| ends(vec![says(status, 0)]);
    let mut watch = watch([
        told(1),
        ends(Vec::new()),
        ends(Vec::new()),
        ends(Vec::new()),
        told(2),
    ])
    .await;
    assert_eq!(next(&mut watch).await.health, Health::Serving);
    let start = Instant::now();
    assert_eq!(next(&mut watch).await.health, Health::Ended);
    assert_eq!(next(&mut watch).await.health, Health::NotServing);
    // 100 ms, and then a backoff of 100, 160 and 256 ms, up to 20 % less or more.
    let took = start.elapsed().as_millis();
    assert!((500..750).contains(&took), "{took} ms");
}
