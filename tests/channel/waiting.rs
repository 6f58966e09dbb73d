//! Calls that wait for a stream: none is lost, and nothing is sent of one that is over.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::backoff::{Exponential, Jitter};
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::{Channel, Connectivity};
use grpc_resilience::{
    AttemptTimeoutLayer, BoxError, DeadlineLayer, Resilience, RetryLayer, RetryPolicy,
    WaitForReadyLayer,
};
use http_body::Body as HttpBody;
use peer::{Connection, Gate, LastStream, Peer, Reason as H2Reason, SeenStream, Step, Stream};
use test_protos::{EchoClient, EchoRequest, EchoServer};
use testing::EchoService;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::Server;
use tonic::{Code, IntoRequest};
use tower::{Layer as _, ServiceBuilder};

use crate::common::net::Net;
use crate::common::*;

fn text(text: &str) -> EchoRequest {
    EchoRequest {
        text: text.into(),
        ..EchoRequest::default()
    }
}

fn declared<T>(message: impl IntoRequest<T>) -> tonic::Request<T> {
    let mut request = message.into_request();
    request.call_options().idempotent();
    request
}

/// A policy with this number of attempts, on this code alone, with one wait between them.
fn policy(attempts: u32, code: Code, wait: Duration) -> RetryPolicy {
    let every = Exponential::new(wait).unwrap().multiplier(1.0).unwrap();
    let policy = RetryPolicy::new().max_attempts(attempts).unwrap();
    policy
        .retry_only_on([code])
        .backoff(every.jitter(Jitter::None))
}

/// The text of the message that a stream brought.
fn brought(stream: &SeenStream) -> String {
    String::from_utf8_lossy(&stream.body[7..]).into_owned()
}

// CONTRACT X1, C5, C8, CORE RetryTransparentMaxConcurrentStreams
#[tokio::test]
async fn undeclared_calls_that_wait_for_a_stream_survive_a_graceful_shutdown() {
    for waiting in [1, 10] {
        let (held, shutdown) = (Gate::new(), Gate::new());
        let script = Connection::new()
            .max_concurrent_streams(1)
            .streams([Stream::ok(b"").after(Step::Gate(held.clone()))])
            .then(Step::Gate(shutdown.clone()))
            .then(Step::GoAway(LastStream::Id(1), H2Reason::NO_ERROR));
        let peer = Peer::start([script]).await;
        let channel = channel(&peer).await;
        // One attempt: what waits needs none.
        let once = policy(1, Code::Unavailable, MS);
        let stack = Resilience::new().retry(once).wrap(channel.clone());
        let call = || {
            let mut client = EchoClient::new(stack.clone());
            tokio::spawn(async move { client.unary(text("foo")).await.map(drop) })
        };
        let first = call();
        peer.wait_for_requests(1).await;
        let others: Vec<_> = (0..waiting).map(|_| call()).collect();
        until(|| channel.snapshot().waiting == waiting).await;
        assert_eq!(peer.streams_seen().len(), 1);
        shutdown.open();
        for other in others {
            timeout(LONG, other).await.unwrap().unwrap().unwrap();
        }
        held.open();
        first.await.unwrap().unwrap();
        let seen = peer.streams_seen();
        assert_eq!(seen.len(), 1 + waiting);
        let number = |it: &SeenStream| it.field("grpc-previous-rpc-attempts").is_some();
        assert!(!seen.iter().any(number));
    }
}

// CONTRACT R13, C10, GO TestRetryTransparentWhenCommitted
#[tokio::test]
async fn nothing_is_sent_of_a_retry_that_is_cancelled_while_it_waits_for_a_stream() {
    let failing = Stream::status(Code::AlreadyExists as i32, "no").after(Step::AwaitRequest);
    let script = Connection::new()
        .max_concurrent_streams(1)
        .streams([failing, Stream::stall()]);
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    let twice = policy(2, Code::AlreadyExists, 100 * MS);
    let stack = RetryLayer::new(twice).layer(channel.clone());
    let spawn = |name: &'static str| {
        let mut client = EchoClient::new(stack.clone());
        tokio::spawn(async move { client.unary(declared(text(name))).await.map(drop) })
    };
    let one = spawn("one");
    peer.wait_for_requests(1).await;
    let dummy = spawn("dummy");
    peer.wait_for_requests(2).await;
    until(|| channel.snapshot().waiting == 1).await;
    one.abort();
    assert!(one.await.unwrap_err().is_cancelled());
    assert_eq!(channel.snapshot().waiting, 0);
    dummy.abort();
    let mut client = EchoClient::new(stack);
    client.unary(text("next")).await.unwrap();
    let seen: Vec<_> = peer.streams_seen().iter().map(brought).collect();
    assert_eq!(seen, ["one", "dummy", "next"]);
}

/// How many streams a peer with one stream at a time has seen of a call that ended, or was dropped,
/// while another one had the stream, and of the next one.
async fn streams_of<S>(over: impl FnOnce(Channel) -> S) -> usize
where
    S: GrpcService<
            Body,
            Error: Into<BoxError>,
            ResponseBody: HttpBody<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
        >,
{
    let script = Connection::new()
        .max_concurrent_streams(1)
        .streams([Stream::stall()]);
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    let holds = spawn(&channel);
    peer.wait_for_streams(1).await;
    let mut client = EchoClient::new(over(channel.clone()));
    let late = timeout(200 * MS, client.unary(declared(text("late")))).await;
    assert!(late.is_err() || late.unwrap().is_err());
    holds.abort();
    succeeds(&channel).await;
    peer.streams_seen().len() - 1
}

// CONTRACT R13, C10
#[tokio::test]
async fn nothing_is_sent_of_a_call_that_is_over_while_it_waits_for_a_stream() {
    let bound = || AttemptTimeoutLayer::new(50 * MS).unwrap();
    let once = || RetryLayer::new(policy(1, Code::Unavailable, MS));
    let deadline = || DeadlineLayer::new().default_timeout(50 * MS);
    assert_eq!(streams_of(|it| it).await, 1, "dropped");
    assert_eq!(streams_of(|it| bound().layer(it)).await, 1);
    assert_eq!(streams_of(|it| once().layer(bound().layer(it))).await, 1);
    assert_eq!(streams_of(|it| once().layer(it)).await, 1, "dropped");
    assert_eq!(streams_of(|it| deadline().layer(it)).await, 1);
    let stack = || Resilience::new().retry(policy(1, Code::Unavailable, MS));
    let timed = streams_of(|it| stack().default_timeout(50 * MS).wrap(it)).await;
    assert_eq!(timed, 1);
    let bounded = streams_of(|it| stack().attempt_timeout(bound()).wrap(it)).await;
    assert_eq!(bounded, 1);
}

/// How many calls 64 callers make in 200 ms over this number of connections, to a server that
/// allows ten streams on each and takes 10 ms for a call.
async fn calls_over(max_connections: u32) -> usize {
    let net = Net::default();
    let accepted = UnboundedReceiverStream::new(net.accept("host")).map(std::io::Result::Ok);
    let slow = |answer: Result<http::Response<Body>, Infallible>| async move {
        sleep(10 * MS).await;
        answer
    };
    let router = Server::builder()
        .max_concurrent_streams(10)
        .layer(ServiceBuilder::new().then(slow).into_inner())
        .add_service(EchoServer::new(EchoService));
    let server = tokio::spawn(router.serve_with_incoming(accepted));
    let channel = connected(net.builder().max_connections(max_connections)).await;
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move {
                let start = Instant::now();
                // Connections are made 100 ms apart.
                while start.elapsed() < 700 * MS {
                    succeeds(&channel).await;
                }
                let mut calls = 0;
                while start.elapsed() < 900 * MS {
                    succeeds(&channel).await;
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.unwrap();
    }
    assert_eq!(connections(&channel), max_connections as usize);
    server.abort();
    calls
}

// CONTRACT C8
#[tokio::test(start_paused = true)]
async fn seven_connections_carry_five_times_the_calls_of_one_that_allows_ten_streams() {
    let (one, seven) = (calls_over(1).await, calls_over(7).await);
    assert!((180..=220).contains(&one), "{one}");
    assert!(seven >= 5 * one, "{seven} {one}");
}

/// A connection that answers ten streams and ignores the others, as nginx with ten
/// `keepalive_requests` does.
fn ten_requests() -> Connection {
    Connection::new()
        .streams((0..10).map(|_| Stream::ok(b"").after(Step::Wait(5 * MS))))
        .other_streams(Stream::stall())
        .goaway_after(10, LastStream::Id(19), H2Reason::NO_ERROR)
}

/// 64 callers make ten undeclared calls each, over some 64 connections.
async fn crowd(channel: Channel) {
    let stack = Resilience::new().wrap(channel.clone());
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let mut client = EchoClient::new(stack.clone());
            tokio::spawn(async move {
                for _ in 0..10 {
                    client.unary(text("foo")).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        let ended = timeout(5 * LONG, caller).await;
        ended
            .unwrap_or_else(|_| panic!("{}", channel.snapshot()))
            .unwrap();
    }
}

// CONTRACT C20, X2
#[tokio::test]
async fn a_server_that_takes_ten_streams_a_connection_is_soon_sent_no_more_than_these() {
    let peer = Peer::always(ten_requests()).await;
    crowd(channel(&peer).await).await;
    let seen = peer.streams_seen();
    let refused: Vec<_> = seen.iter().filter(|it| it.id > 19).collect();
    assert!(!refused.is_empty(), "nothing was known yet");
    assert!(refused.iter().all(|it| it.connection < 2), "{refused:?}");
}

// CONTRACT C20
#[tokio::test]
async fn a_server_that_takes_more_streams_than_before_is_sent_more() {
    let peer = Peer::start([ten_requests(), ten_requests()]).await;
    crowd(channel(&peer).await).await;
    let seen = peer.streams_seen();
    let on = |number| seen.iter().filter(|it| it.connection == number).count();
    assert_eq!(on(2), 10);
    // One or two more were dialled before that one ended.
    assert!(peer.connections() <= 5, "{}", peer.connections());
}

/// A stream of one message. The first poll, by a layer that keeps requests, finds nothing. The
/// second one, by the channel, runs the function and then yields the message.
struct Interrupted<F>(Option<F>, usize);

impl<F: FnOnce() + Unpin> tokio_stream::Stream for Interrupted<F> {
    type Item = EchoRequest;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<EchoRequest>> {
        self.1 += 1;
        if self.1 == 1 {
            return Poll::Pending;
        }
        Poll::Ready(self.0.take().map(|first| {
            first();
            EchoRequest::default()
        }))
    }
}

// CONTRACT W1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_connection_is_lost_while_its_request_is_read_waits_for_the_next_one() {
    let net = Net::default();
    let host = net.serve("host");
    let channel = net.builder().build().unwrap();
    channel.connected(LONG).await.unwrap();
    let mut client = EchoClient::new(WaitForReadyLayer::new().layer(channel.clone()));
    client.unary(text("known")).await.unwrap();
    let lose = {
        let (net, channel) = (net.clone(), channel.clone());
        move || {
            net.refuse("host");
            drop(host);
            // Other threads see to the connection meanwhile.
            tokio::task::block_in_place(|| {
                while channel.state() != Connectivity::TransientFailure {
                    std::thread::yield_now();
                }
            });
        }
    };
    let requests = Interrupted(Some(lose), 0);
    let call = tokio::spawn(async move { client.client_stream(requests).await.map(drop) });
    while channel.snapshot().waiting == 0 && !call.is_finished() {
        tokio::task::yield_now().await;
    }
    let _host = net.serve("host");
    channel.reset_backoff();
    call.await.unwrap().unwrap();
}
