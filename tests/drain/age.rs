//! Connections that end by age: tonic's own way, and that of `Drain::server`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::Drain;
use grpc_resilience::drain::DrainServer;
use grpc_resilience::error::Fault;
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;
use tonic::transport::Server;
use tower::service_fn;

use crate::site::{MS, SECOND};

const PING: u8 = 6;
const GOAWAY: u8 = 7;
const HEADERS: u8 = 1;

/// What a client saw, each with its time since the connection began.
#[derive(Debug)]
struct Seen {
    /// The last stream ids.
    goaways: Vec<(Duration, u32)>,
    /// Of the answer's head.
    answered: Option<Duration>,
    closed: Duration,
}

/// A client that speaks HTTP/2 by hand: it makes a call that takes this long, if any, answers
/// PINGs, and reads to the end.
async fn client(mut socket: DuplexStream, call: Option<Duration>) -> Seen {
    let begin = Instant::now();
    let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    if let Some(time) = call {
        let path = format!("/{}", time.as_millis());
        let head = [
            &[0x83, 0x86, 0x01, 1, b'a', 0x04, byte(&path)],
            path.as_bytes(),
        ]
        .concat();
        hello.extend([0, 0, byte(&head), HEADERS, 5, 0, 0, 0, 1]);
        hello.extend(head);
    }
    socket.write_all(&hello).await.unwrap();
    let (mut goaways, mut answered) = (Vec::new(), None);
    let mut head = [0; 9];
    while socket.read_exact(&mut head).await.is_ok() {
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        socket.read_exact(&mut payload).await.unwrap();
        match head[3] {
            GOAWAY => {
                let last = u32::from_be_bytes(payload[..4].try_into().unwrap());
                goaways.push((begin.elapsed(), last));
            }
            PING if head[4] == 0 => {
                let pong = [&[0, 0, 8, PING, 1, 0, 0, 0, 0], &payload[..]].concat();
                let _ = socket.write_all(&pong).await;
            }
            HEADERS => answered = Some(begin.elapsed()),
            _ => {}
        }
    }
    Seen {
        goaways,
        answered,
        closed: begin.elapsed(),
    }
}

fn byte(of: impl AsRef<[u8]>) -> u8 {
    of.as_ref().len().try_into().unwrap()
}

/// The path says how many milliseconds the call takes.
async fn answer(request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
    let millis = request.uri().path()[1..].parse().unwrap();
    sleep(Duration::from_millis(millis)).await;
    Ok(Response::new(Body::empty()))
}

struct Served {
    drain: Drain,
    accept: mpsc::UnboundedSender<DuplexStream>,
    ended: JoinHandle<()>,
    /// The service and its clones hold it.
    held: Arc<()>,
}

fn serve(drain: Drain, ages: impl FnOnce(DrainServer) -> DrainServer) -> Served {
    let (accept, accepted) = mpsc::unbounded_channel();
    let accepted = UnboundedReceiverStream::new(accepted);
    // `accept` may fail, as without a file descriptor.
    let failing = tokio_stream::once(Err(io::Error::other("too many open files")));
    let incoming = failing.chain(accepted.map(Ok));
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    let service = service_fn(move |request| {
        let held = Arc::clone(&holds);
        async move {
            let answered = answer(request).await;
            drop(held);
            answered
        }
    });
    let server = ages(drain.server(Server::builder())).serve(service, incoming);
    let ended = tokio::spawn(server.unwrap());
    Served {
        drain,
        accept,
        ended,
        held,
    }
}

impl Served {
    fn connect(&self, call: Option<Duration>) -> JoinHandle<Seen> {
        let (ours, theirs) = duplex(1 << 16);
        self.accept.send(theirs).unwrap();
        tokio::spawn(client(ours, call))
    }
}

fn drain() -> Drain {
    Drain::builder().build().unwrap()
}

// PEER A9-age: tonic's `max_connection_age_grace` cuts off; a client of it loses its calls.
#[tokio::test(start_paused = true)]
async fn tonics_own_age_with_a_grace_sends_no_goaway() {
    let (ours, theirs) = duplex(1 << 16);
    let server = Server::builder()
        .max_connection_age(10 * SECOND)
        .max_connection_age_grace(5 * SECOND);
    let one = tokio_stream::once(Ok::<_, io::Error>(theirs)).chain(tokio_stream::pending());
    tokio::spawn(async move { server.serve_with_incoming(service_fn(answer), one).await });
    let seen = client(ours, Some(60 * SECOND)).await;
    assert_eq!(
        (seen.goaways.len(), seen.closed.as_secs()),
        (0, 15),
        "{seen:?}"
    );
}

// PEER A9-age
#[tokio::test(start_paused = true)]
async fn each_connection_gets_its_goaway_at_an_age_of_its_own() {
    let served = serve(drain(), |it| it.max_connection_age(100 * SECOND));
    let clients: Vec<_> = (0..50).map(|_| served.connect(None)).collect();
    let mut ages = Vec::new();
    for client in clients {
        let seen = client.await.unwrap();
        let [(first, most), (second, last)] = seen.goaways[..] else {
            panic!("{seen:?}");
        };
        assert_eq!((most, last), (u32::MAX >> 1, 0));
        assert!(
            (90 * SECOND..=110 * SECOND + 100 * MS).contains(&first),
            "{seen:?}"
        );
        assert!(
            second < first + 10 * MS && seen.closed < second + 10 * MS,
            "{seen:?}"
        );
        ages.push(first.as_secs());
    }
    ages.sort_unstable();
    assert!(ages[49] - ages[0] > 10, "they are spread: {ages:?}");
    assert!(!served.ended.is_finished());
    // Nothing of a connection is left.
    sleep(SECOND).await;
    assert_eq!(Arc::strong_count(&served.held), 2);
}

// PEER A9-age
#[tokio::test(start_paused = true)]
async fn calls_of_an_old_connection_end_and_after_the_grace_it_is_cut_off() {
    let ages = |it: DrainServer| {
        it.max_connection_age(100 * SECOND)
            .max_connection_age_grace(50 * SECOND)
    };
    let served = serve(drain(), ages);
    let [short, long] = [130, 600].map(|it| served.connect(Some(it * SECOND)));
    let short = short.await.unwrap();
    assert_eq!(short.goaways.len(), 2, "{short:?}");
    assert_eq!(short.answered.unwrap().as_secs(), 130);
    assert_eq!(short.closed.as_secs(), 130);
    let long = long.await.unwrap();
    let age = long.goaways[0].0;
    assert!(long.answered.is_none(), "{long:?}");
    let after = long.closed.abs_diff(age);
    assert!(
        (50 * SECOND..=50 * SECOND + 10 * MS).contains(&after),
        "{long:?}"
    );
}

// PEER A9-age
#[tokio::test(start_paused = true)]
async fn without_a_grace_the_calls_of_an_old_connection_have_all_the_time() {
    let served = serve(drain(), |it| it.max_connection_age(10 * SECOND));
    let seen = served.connect(Some(86_400 * SECOND)).await.unwrap();
    assert_eq!(seen.answered.unwrap().as_secs(), 86_400);
    assert_eq!(seen.closed.as_secs(), 86_400);
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn a_connection_that_drains_is_not_cut_off_for_its_age() {
    let drain = Drain::builder()
        .no_notice()
        .grace(100 * SECOND)
        .build()
        .unwrap();
    let ages = |it: DrainServer| {
        it.max_connection_age(20 * SECOND)
            .max_connection_age_grace(SECOND)
    };
    let served = serve(drain, ages);
    let call = served.connect(Some(60 * SECOND));
    let silent = duplex(1);
    served.accept.send(silent.1).unwrap();
    sleep(10 * SECOND).await;
    let begin = Instant::now();
    served.drain.start();
    let seen = call.await.unwrap();
    assert_eq!(seen.goaways[0].0.as_secs(), 10);
    assert_eq!(seen.answered.unwrap().as_secs(), 60);
    served.ended.await.unwrap();
    // The silent one ends at the hard stop.
    assert_eq!(begin.elapsed().as_secs(), 100);
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn a_server_without_ages_drains_like_any_other_and_forgets_closed_connections() {
    let served = serve(drain(), |it| it);
    for _ in 0..3 {
        let (ours, theirs) = duplex(1 << 16);
        served.accept.send(theirs).unwrap();
        drop(ours);
    }
    let call = served.connect(Some(15 * SECOND));
    sleep(SECOND).await;
    // The test's, the server's, and those of the connection with its call.
    assert!(Arc::strong_count(&served.held) <= 5);
    served.drain.start();
    sleep(9 * SECOND).await;
    assert!(!served.accept.is_closed());
    sleep(2 * SECOND).await;
    assert!(
        served.accept.is_closed(),
        "the listener is dropped at the GOAWAY"
    );
    assert!(!served.ended.is_finished(), "the call runs");
    let seen = call.await.unwrap();
    assert_eq!(seen.goaways[0].0.as_secs(), 11);
    assert_eq!(seen.answered.unwrap().as_secs(), 15);
    served.ended.await.unwrap();
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn a_server_without_a_connection_ends_at_the_goaway() {
    let served = serve(drain(), |it| it);
    let begin = Instant::now();
    served.drain.start();
    served.ended.await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn after_an_accept_that_failed_the_server_pauses_so_that_it_does_not_spin() {
    let served = serve(drain(), |it| it);
    let answered = served.connect(Some(Duration::ZERO));
    sleep(SECOND).await;
    served.drain.start();
    let answered = answered.await.unwrap().answered.unwrap();
    assert!((50 * MS..60 * MS).contains(&answered), "{answered:?}");
}

#[tokio::test]
async fn all_faults_of_the_ages_are_reported_at_once() {
    let faults = |server: DrainServer| {
        let incoming = tokio_stream::pending::<io::Result<DuplexStream>>();
        let invalid = server.serve(service_fn(answer), incoming).err().unwrap();
        let setters: Vec<_> = invalid.faults().iter().map(Fault::setter).collect();
        setters
    };
    let server = drain().server(Server::builder());
    let zero = server
        .clone()
        .max_connection_age(Duration::ZERO)
        .max_connection_age_grace(Duration::ZERO);
    assert_eq!(
        faults(zero),
        ["max_connection_age", "max_connection_age_grace"]
    );
    let alone = server.max_connection_age_grace(SECOND);
    assert_eq!(faults(alone), ["max_connection_age_grace"]);
}
