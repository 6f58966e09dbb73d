//! Which calls count as failures of their endpoint (CONTRACT O2, C5).

use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::pick::RoundRobin;
use grpc_resilience::channel::{Channel, EndpointSnapshot};
use grpc_resilience::{Resilience, RetryLayer, RetryPolicy};
use http_body_util::BodyExt as _;
use peer::{Connection, Headers, LastStream, Peer, Reason, Step, Stream};
use test_protos::{EchoClient, EchoRequest};
use tokio::time::Instant;
use tonic::transport::Server;
use tower::{Layer as _, ServiceExt as _};

use crate::common::manner::Manner;
use crate::common::net::Net;
use crate::common::*;
use crate::ejection::{Cluster, S, cluster, declared, ejected, endpoint, picking};

fn two() -> [Manner; 2] {
    [5; 2].map(Manner::taking)
}

/// A whole call, however it ends.
async fn whole(channel: &Channel) {
    if let Ok(answer) = call(channel).await {
        let _ = answer.into_body().collect().await;
    }
}

/// The first endpoint, of a channel that has one.
fn alone(channel: &Channel) -> EndpointSnapshot {
    channel.snapshot().endpoints.remove(0)
}

// CONTRACT O2
#[tokio::test(start_paused = true)]
async fn cancelled_calls_count_in_neither_rule() {
    let manners = two();
    let cluster = cluster(&manners, picking(RoundRobin::new())).await;
    manners[0].take(60_000);
    for _ in 0..60 {
        let call = send(&cluster.channel, declared());
        let _ = tokio::time::timeout(100 * MS, call).await;
    }
    let slow = endpoint(&cluster.channel, 0);
    assert_eq!((slow.consecutive_failures, slow.failure_rate), (0, None));
    assert_eq!(ejected(&cluster.channel), [0; 0]);
}

// CONTRACT O2
#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_call_is_no_failure_of_its_endpoint() {
    let manners = two();
    let cluster = cluster(&manners, picking(RoundRobin::new())).await;
    manners[0].take(60_000);
    for _ in 0..30 {
        let mut request = declared();
        request.call_options().timeout(100 * MS);
        let _ = send(&cluster.channel, request).await;
    }
    let slow = endpoint(&cluster.channel, 0);
    assert_eq!((slow.consecutive_failures, slow.failure_rate), (0, None));
}

// CONTRACT O2: own attempt timeouts
#[tokio::test(start_paused = true)]
async fn five_attempt_timeouts_in_a_row_eject_a_server_that_answers_no_call() {
    let manners = two();
    let Cluster { channel, hosts, .. } = cluster(&manners, picking(RoundRobin::new())).await;
    let mut client = EchoClient::new(impatient().wrap(channel.clone()));
    client.unary(EchoRequest::default()).await.unwrap();
    manners[0].take(60_000);
    let start = Instant::now();
    let mut calls = 0;
    while ejected(&channel).is_empty() {
        client.unary(EchoRequest::default()).await.unwrap();
        calls += 1;
        assert!(calls < 14, "{}", channel.snapshot());
    }
    assert_eq!(ejected(&channel), [0]);
    // Five of 200 ms, and the pauses of the retries.
    assert!(start.elapsed() < 3 * S, "{:?}", start.elapsed());
    drop(hosts);
}

/// Attempts of 200 ms.
fn impatient() -> Resilience {
    Resilience::new()
        .default_timeout(10 * S)
        .attempt_timeout(AttemptTimeoutLayer::new(200 * MS).unwrap())
        .retry(RetryPolicy::new())
        .idempotent("/test.v1.Echo/*")
        .unwrap()
}

// CONTRACT C22: its new connections say nothing either
#[tokio::test(start_paused = true)]
async fn a_frozen_server_gets_no_call_after_two_attempt_timeouts() {
    let manners = two();
    let Cluster { channel, hosts, .. } = cluster(&manners, picking(RoundRobin::new())).await;
    let mut client = EchoClient::new(impatient().wrap(channel.clone()));
    client.unary(EchoRequest::default()).await.unwrap();
    hosts[0].freeze();
    let (start, mut calls) = (Instant::now(), 0);
    while start.elapsed() < 15 * S {
        client.unary(EchoRequest::default()).await.unwrap();
        calls += 1;
        tokio::time::sleep(50 * MS).await;
    }
    // Two of 200 ms, and 55 ms each.
    assert!(calls > 250, "{calls} calls");
    let frozen = endpoint(&channel, 0);
    assert_eq!((frozen.consecutive_failures, frozen.in_flight), (2, 0));
    assert_eq!(ejected(&channel), [0; 0]);
}

// CONTRACT O2: a stream's opening, whose end no server is told
#[tokio::test(start_paused = true)]
async fn an_attempt_timeout_of_a_stream_counts_until_the_answer_begins() {
    let manners = two();
    let Cluster { channel, hosts, .. } = cluster(&manners, picking(RoundRobin::new())).await;
    let layer = AttemptTimeoutLayer::new(200 * MS).unwrap();
    let streaming = || {
        let mut request = declared();
        request
            .call_options()
            .kind(grpc_resilience::grpc::MethodKind::ServerStreaming)
            .timeout(60 * S);
        request
    };
    let layered = layer.layer(channel.clone());
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(layered.clone().oneshot(streaming()).await.unwrap());
    }
    tokio::time::sleep(S).await;
    // Given up long after the end of the attempt, which was answered.
    drop(open);
    assert_eq!(endpoint(&channel, 0).consecutive_failures, 0);
    manners[0].take(60_000);
    for _ in 0..12 {
        if let Ok(answer) = layered.clone().oneshot(streaming()).await {
            answer.into_body().collect().await.unwrap();
        }
    }
    assert_eq!(ejected(&channel), [0], "{}", channel.snapshot());
    drop(hosts);
}

// CONTRACT O2: the retry layer is above in a right order only
#[tokio::test(start_paused = true)]
async fn a_timeout_of_all_attempts_together_blames_no_endpoint() {
    let manners = two();
    let cluster = cluster(&manners, picking(RoundRobin::new())).await;
    manners[0].take(60_000);
    let layered = RetryLayer::new(RetryPolicy::new()).layer(cluster.channel.clone());
    let layered = AttemptTimeoutLayer::new(200 * MS).unwrap().layer(layered);
    for _ in 0..12 {
        let _ = layered.clone().oneshot(declared()).await;
    }
    let slow = endpoint(&cluster.channel, 0);
    assert_eq!(slow.failure_rate, None, "{}", cluster.channel.snapshot());
}

// CONTRACT O2
#[tokio::test(start_paused = true)]
async fn a_lost_connection_counts_once_however_many_calls_were_on_it() {
    let manners = two();
    let mut cluster = cluster(&manners, picking(RoundRobin::new())).await;
    let channel = &cluster.channel;
    manners[0].take(1_000);
    let calls: Vec<_> = (0..40).map(|_| spawn(channel)).collect();
    until(|| endpoint(channel, 0).in_flight == 20).await;
    drop(cluster.hosts.remove(0));
    let mut lost = 0;
    for call in calls {
        lost += usize::from(call.await.unwrap().is_err());
    }
    assert_eq!(lost, 20);
    assert_eq!(endpoint(channel, 0).consecutive_failures, 1);
    assert_eq!(ejected(channel), [0; 0]);
}

// CONTRACT O2
#[tokio::test]
async fn a_server_that_loses_each_connection_is_ejected() {
    let bad = Connection::new().other_streams(Stream::from([Step::AwaitRequest, Step::Abort]));
    let bad = Peer::always(bad).await;
    let good = Peer::start([]).await;
    let address = |peer: &Peer| peer.uri().replace("http://", "");
    let target = format!("ipv4:{},{}", address(&bad), address(&good));
    let channel = connected(Channel::builder(target).picker(RoundRobin::new())).await;
    let bad = || channel.snapshot().endpoints.remove(0);
    while bad().ejected_for.is_none() {
        until(|| connections(&channel) == 2).await;
        for _ in 0..2 {
            whole(&channel).await;
        }
        others_have_run().await;
        assert!(bad().consecutive_failures <= 6, "{}", channel.snapshot());
    }
}

// CONTRACT C5
#[tokio::test(start_paused = true)]
async fn ageing_connections_are_no_failure() {
    let net = Net::default();
    let server = Server::builder()
        .max_connection_age(15 * MS)
        .max_connection_age_grace(5 * MS);
    let _host = net.serve_with("host", server);
    let channel = connected(net.builder()).await;
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    whole(&channel).await;
                    tokio::time::sleep(MS).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(net.dials() > 2, "{} dials", net.dials());
    let host = alone(&channel);
    assert!(host.consecutive_failures <= 1, "{host}");
}

// CONTRACT C5, R18
#[tokio::test]
async fn what_a_server_says_while_it_goes_away_is_no_failure() {
    for code in [14, 1] {
        let answer = Stream::from([
            Step::AwaitRequest,
            Step::GoAway(LastStream::This, Reason::NO_ERROR),
            Step::Headers(Headers::trailers_only(code)),
        ]);
        let peer = Peer::start([Connection::new().streams([answer])]).await;
        let channel = channel(&peer).await;
        let _ = call(&channel).await;
        succeeds(&channel).await;
        assert_eq!(alone(&channel).failure_rate, Some(0.0), "code {code}");
    }
}

// CONTRACT O2
#[tokio::test]
async fn a_stream_that_the_server_refuses_or_resets_counts_by_its_code() {
    for (reason, row, rate) in [
        (Reason::REFUSED_STREAM, 0, None),
        (Reason::ENHANCE_YOUR_CALM, 0, None),
        (Reason::CANCEL, 0, None),
        (Reason::INTERNAL_ERROR, 0, Some(1.0)),
    ] {
        let reset = Stream::from([Step::AwaitRequest, Step::Reset(reason)]);
        let peer = Peer::start([Connection::new().streams([reset])]).await;
        let channel = channel(&peer).await;
        assert!(call(&channel).await.is_err());
        let host = alone(&channel);
        assert_eq!(
            (host.consecutive_failures, host.failure_rate),
            (row, rate),
            "{reason:?}"
        );
    }
}

/// An answer that begins well, with a message, and goes on so.
fn begun(then: impl IntoIterator<Item = Step>) -> Stream {
    let begin = [
        Step::AwaitRequest,
        Step::Headers(Headers::response()),
        Step::message(b"hi"),
    ];
    begin
        .into_iter()
        .chain(then)
        .fold(Stream::new(), Stream::then)
}

// CONTRACT O2: whichever way a server says it
#[tokio::test]
async fn an_answer_counts_by_the_status_that_the_caller_gets() {
    let page = |status| Stream::http(status, "text/html", "<html>");
    let proxied = Headers::http(503, "application/grpc").with("grpc-status", "5");
    let proxied = [
        Step::AwaitRequest,
        Step::Headers(proxied.ending_the_stream()),
    ];
    for (what, answer, row, rate) in [
        ("trailers 0", Stream::ok(b"hi"), 0, Some(0.0)),
        (
            "trailers 14",
            begun([Step::Headers(Headers::trailers(14))]),
            1,
            Some(1.0),
        ),
        (
            "trailers 5",
            begun([Step::Headers(Headers::trailers(5))]),
            0,
            Some(0.0),
        ),
        (
            "trailers 1",
            begun([Step::Headers(Headers::trailers(1))]),
            0,
            None,
        ),
        ("trailers only 1", Stream::status(1, ""), 0, None),
        ("trailers only 14", Stream::status(14, ""), 1, Some(1.0)),
        ("a page of 503", page(503), 1, Some(1.0)),
        ("a page of 404", page(404), 0, Some(0.0)),
        ("503 with status 5", Stream::from(proxied), 0, Some(0.0)),
        (
            "an error in the answer",
            begun([Step::Reset(Reason::INTERNAL_ERROR)]),
            0,
            Some(1.0),
        ),
        (
            "an end without a status",
            begun([Step::Reset(Reason::NO_ERROR)]),
            0,
            Some(0.0),
        ),
    ] {
        let peer = Peer::start([Connection::new().streams([answer])]).await;
        let channel = channel(&peer).await;
        whole(&channel).await;
        let host = alone(&channel);
        let found = (host.consecutive_failures, host.failure_rate);
        assert_eq!(found, (row, rate), "{what}");
    }
}

// CONTRACT C5, L3, O2
#[tokio::test]
async fn a_call_that_a_goaway_left_out_says_nothing_of_its_server() {
    let script = Connection::new()
        .streams([Stream::status(14, ""), Stream::stall()])
        .goaway_after(2, LastStream::Below, Reason::NO_ERROR);
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    whole(&channel).await;
    let before = alone(&channel);
    assert_eq!(before.consecutive_failures, 1);
    let error = call(&channel).await.unwrap_err();
    assert_eq!(
        error.verdict().reason,
        grpc_resilience::classify::Reason::GoAway
    );
    let after = alone(&channel);
    assert_eq!(after.consecutive_failures, 1, "it is no answer");
    assert_eq!(after.failure_rate, Some(1.0));
    // It weighs less and less, and no more than one.
    assert!(after.recent_failures <= before.recent_failures, "{after:?}");
    assert_eq!(after.in_flight, 0);
}
