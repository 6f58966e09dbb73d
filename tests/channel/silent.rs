//! Connections that say nothing while attempts time out (CONTRACT C22).

use std::time::Duration;

use grpc_resilience::attempt_timeout::{AttemptTimeout, AttemptTimeoutLayer};
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::pick::{PickFirst, RoundRobin};
use grpc_resilience::channel::{Builder, Channel, Connectivity, EndpointSnapshot};
use grpc_resilience::{Resilience, Resilient, RetryPolicy};
use http_body_util::BodyExt as _;
use peer::{Connection, Peer, Step, Stream};
use test_protos::{EchoClient, EchoRequest};
use tokio::time::Instant;
use tower::{Layer as _, ServiceExt as _};

use crate::common::health::{SERVICE, Ward};
use crate::common::log::Ear;
use crate::common::manner::Manner;
use crate::common::names::Names;
use crate::common::net::Net;
use crate::common::*;
use crate::ejection::{Cluster, S, cluster, declared, ejected, endpoint, picking};

/// A client that repeats its calls, with attempts of a second.
fn client(channel: &Channel) -> EchoClient<Resilient<Channel>> {
    let stack = Resilience::new()
        .default_timeout(15 * S)
        .attempt_timeout(AttemptTimeoutLayer::new(S).unwrap())
        .retry(RetryPolicy::new())
        .idempotent("/test.v1.Echo/*")
        .unwrap();
    EchoClient::new(stack.wrap(channel.clone()))
}

async fn unary(client: &mut EchoClient<Resilient<Channel>>) {
    client.unary(EchoRequest::default()).await.unwrap();
}

/// A channel whose attempts take a second at most.
fn timed(channel: &Channel) -> AttemptTimeout<Channel> {
    AttemptTimeoutLayer::new(S).unwrap().layer(channel.clone())
}

/// An attempt that times out.
async fn times_out(timed: &AttemptTimeout<Channel>) {
    assert!(timed.clone().oneshot(declared()).await.is_err());
}

/// The only endpoint.
fn alone(channel: &Channel) -> EndpointSnapshot {
    channel.snapshot().endpoints.remove(0)
}

/// How many connections take calls, and how many are silent.
fn seen(channel: &Channel) -> (usize, usize) {
    let endpoint = alone(channel);
    (endpoint.connections.len(), endpoint.silent.len())
}

/// The only connection falls silent: two attempts time out on it, and another one takes the calls.
async fn falls_silent(channel: &Channel) {
    let timed = timed(channel);
    times_out(&timed).await;
    times_out(&timed).await;
    until(|| seen(channel) == (1, 1)).await;
}

/// A server whose address moves: the old one is a black hole from then on.
async fn moved(configure: impl FnOnce(Builder) -> Builder) -> (Net, Channel) {
    let net = Net::default();
    let old = net.serve("host");
    let channel = connected(configure(net.builder())).await;
    succeeds(&channel).await;
    old.freeze();
    std::mem::forget((old, net.serve("host")));
    (net, channel)
}

// CONTRACT C22, A5: back within 2.5 s
#[tokio::test(start_paused = true)]
async fn a_server_that_moved_is_found_after_two_attempt_timeouts_and_no_call_fails() {
    let heard = Ear::new();
    let (net, channel) = moved(|it| it).await;
    let mut client = client(&channel);
    let start = Instant::now();
    unary(&mut client).await;
    let back = start.elapsed();
    assert!(back >= 2 * S && back <= S * 5 / 2, "{back:?}");
    assert_eq!((seen(&channel), net.dials()), ((1, 1), 2));
    let table = channel.snapshot().to_string();
    assert!(table.contains("1 + 1 silent"), "{table}");
    assert_eq!(heard.count("a connection from which nothing was read"), 1);
    tokio::time::sleep(8 * S).await;
    assert_eq!((seen(&channel), net.open()), ((1, 1), 2));
    let endpoint = alone(&channel);
    assert!(endpoint.since < Duration::from_secs(10), "{endpoint}");
    tokio::time::sleep(3 * S).await;
    assert_eq!((seen(&channel), net.open()), ((1, 0), 1));
    assert_eq!(heard.count("did not answer a PING, and is closed"), 1);
    assert_eq!(heard.count("silent connection answers"), 0);
    unary(&mut client).await;
    tokio::time::sleep(100 * S).await;
    assert_eq!(
        (seen(&channel), net.dials()),
        ((1, 0), 2),
        "it is the first"
    );
}

// CONTRACT C22, C8
#[tokio::test(start_paused = true)]
async fn it_is_replaced_where_one_connection_is_the_most_and_many_calls_are_on_it() {
    let (net, channel) = moved(|it| it.max_connections(1)).await;
    let start = Instant::now();
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let mut client = client(&channel);
            tokio::spawn(async move { unary(&mut client).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert!(start.elapsed() < 2 * S, "{:?}", start.elapsed());
    assert_eq!((seen(&channel), net.dials()), ((1, 1), 2));
    tokio::time::sleep(11 * S).await;
    assert_eq!((seen(&channel), net.open()), ((1, 0), 1));
}

// CONTRACT C22
#[tokio::test(start_paused = true)]
async fn one_timeout_is_not_enough_and_a_dropped_call_is_none() {
    let (net, channel) = moved(|it| it).await;
    let timed = timed(&channel);
    times_out(&timed).await;
    for _ in 0..5 {
        let early = timed.clone().oneshot(declared());
        assert!(tokio::time::timeout(S / 2, early).await.is_err());
        let dropped = tokio::time::timeout(2 * S, call(&channel));
        assert!(dropped.await.is_err());
    }
    assert_eq!((seen(&channel), net.dials()), ((1, 0), 1));
    times_out(&timed).await;
    others_have_run().await;
    assert_eq!((seen(&channel), net.dials()), ((1, 1), 2));
}

// CONTRACT C22
#[tokio::test(start_paused = true)]
async fn a_slow_server_that_answers_other_calls_is_not_asked() {
    let net = Net::default();
    let manner = Manner::default();
    let _host = net.serve_as("host", &manner);
    let channel = connected(net.builder()).await;
    let (sender, body) = streaming();
    let _stream = send(&channel, bidi(body)).await.unwrap();
    manner.take(60_000);
    let echo = tokio::spawn(async move {
        while sender.send(message(b"")).is_ok() {
            tokio::time::sleep(S * 7 / 10).await;
        }
    });
    let timed = timed(&channel);
    for _ in 0..10 {
        times_out(&timed).await;
    }
    assert_eq!((seen(&channel), net.dials()), ((1, 0), 1));
    echo.abort();
    for _ in 0..3 {
        times_out(&timed).await;
    }
    until(|| net.dials() == 2).await;
}

// CONTRACT C22: a wait for a stream is part of the attempt
#[tokio::test(start_paused = true)]
async fn a_server_that_answers_one_call_after_another_is_not_asked() {
    let net = Net::default();
    let manner = Manner::default();
    let _host = net.serve_as("host", &manner);
    let builder = net.builder().max_connections(1).max_concurrent_streams(1);
    let channel = connected(builder).await;
    succeeds(&channel).await;
    manner.take(900);
    let timed = timed(&channel);
    // The first is answered after 0.9 s. The others get its stream then, and time out soon after.
    let calls = (0..3).map(|number| {
        let timed = timed.clone();
        tokio::spawn(async move {
            tokio::time::sleep(number * 100 * MS).await;
            timed.oneshot(declared()).await.is_ok()
        })
    });
    let mut answered = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        answered.push(call.await.unwrap());
    }
    assert_eq!(answered, [true, false, false]);
    others_have_run().await;
    assert_eq!((seen(&channel), net.dials()), ((1, 0), 1));
}

// CONTRACT C22, C8
#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_gets_calls_again_and_the_one_beside_it_closes() {
    let heard = Ear::new();
    let net = Net::default();
    let old = net.serve("host");
    let channel = connected(net.builder()).await;
    succeeds(&channel).await;
    old.hold();
    let new = net.serve("host");
    falls_silent(&channel).await;
    let streams = || {
        let connections = alone(&channel).connections;
        let streams = connections.iter().map(|it| it.streams);
        streams.collect::<Vec<_>>()
    };
    for _ in 0..3 {
        succeeds(&channel).await;
    }
    assert_eq!(streams(), [3], "no call goes to the silent one");
    tokio::time::sleep(5 * S).await;
    old.go_on();
    until(|| seen(&channel) == (2, 0)).await;
    assert_eq!(heard.count("silent connection answers"), 1);
    assert_eq!(streams(), [3, 3]);
    succeeds(&channel).await;
    assert_eq!(streams(), [4, 3], "the oldest is filled first");
    assert_eq!(channel.state(), Connectivity::Ready);
    for _ in 0..6 {
        tokio::time::sleep(2 * S + S / 2).await;
        succeeds(&channel).await;
    }
    assert_eq!((streams(), net.open()), (vec![10], 1));
    tokio::time::sleep(60 * S).await;
    assert_eq!((streams(), net.dials()), (vec![10], 2));
    assert_eq!(heard.count("did not answer a PING"), 0);
    drop((old, new));
}

// CONTRACT C22: the answer comes at the end of the time that the second one may be idle
#[tokio::test(start_paused = true)]
async fn the_replacement_stays_while_the_silent_one_may_come_back_and_closes_then() {
    let net = Net::default();
    let old = net.serve("host");
    let channel = connected(net.builder().keep_alive_timeout(60 * S)).await;
    succeeds(&channel).await;
    old.hold();
    let _new = net.serve("host");
    falls_silent(&channel).await;
    tokio::time::sleep(40 * S).await;
    assert_eq!(seen(&channel), (1, 1));
    old.go_on();
    until(|| seen(&channel) == (2, 0)).await;
    tokio::time::sleep(15 * S).await;
    assert_eq!((seen(&channel), net.open()), ((1, 0), 1));
    succeeds(&channel).await;
}

// CONTRACT C22, C6
#[tokio::test(start_paused = true)]
async fn a_server_that_answers_pings_and_no_call_is_asked_once_in_5_minutes() {
    let net = Net::default();
    let manner = Manner::taking(60_000);
    let _host = net.serve_as("host", &manner);
    let channel = connected(net.builder()).await;
    let timed = timed(&channel);
    let start = Instant::now();
    while start.elapsed() < 290 * S {
        times_out(&timed).await;
    }
    assert_eq!(net.dials(), 2);
    while start.elapsed() < 310 * S {
        times_out(&timed).await;
    }
    assert_eq!(net.dials(), 3);
}

// CONTRACT C22, C3
#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_connections_and_falls_silent_on_each_is_dialled_with_backoff() {
    let net = Net::default();
    let mut hosts = vec![net.serve("host")];
    let channel = connected(net.builder()).await;
    succeeds(&channel).await;
    let timed = AttemptTimeoutLayer::new(100 * MS).unwrap();
    let timed = timed.layer(channel.clone());
    let start = Instant::now();
    let mut most = 0;
    while start.elapsed() < 30 * S {
        // Each connection is made, and is a black hole afterwards.
        for host in &hosts {
            host.freeze();
        }
        hosts.push(net.serve("host"));
        // It waits, where the endpoint backs off.
        let _ = timed.clone().oneshot(patient()).await;
        let endpoint = alone(&channel);
        most = most.max(endpoint.silent.len());
    }
    // Without a backoff 150 of them, and 50 at a time.
    assert!(net.dials() < 60, "{} dials", net.dials());
    assert!((2..25).contains(&most), "{most} silent ones");
}

// CONTRACT C22, N10
#[tokio::test(start_paused = true)]
async fn a_removed_endpoint_and_a_closed_channel_keep_no_silent_connection() {
    for is_removed in [true, false] {
        let net = Net::default();
        let (old, _other) = (net.serve("host"), net.serve("other"));
        let (names, builder) = Names::new(&net, &["host"]);
        let channel = connected(builder).await;
        succeeds(&channel).await;
        old.hold();
        let _new = net.serve("host");
        falls_silent(&channel).await;
        if is_removed {
            names.set(&["other"]);
            until(|| net.open() == 1).await;
            assert_eq!(called(&channel).await, "other");
            // It is not there to come back.
            old.go_on();
            tokio::time::sleep(S).await;
            assert_eq!((seen(&channel), net.open()), ((1, 0), 1));
        } else {
            channel.close().await;
            assert_eq!(net.open(), 0);
        }
    }
}

// CONTRACT C22, G1
#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_back_has_the_health_that_its_server_said_meanwhile() {
    let net = Net::default();
    let old = Ward::new(&net, "host", true).await;
    let channel = connected(net.builder().health_check(SERVICE)).await;
    for is_serving in [true, false] {
        succeeds(&channel).await;
        old.holds();
        let _new = Ward::new(&net, "host", true).await;
        falls_silent(&channel).await;
        succeeds(&channel).await;
        old.serves(is_serving).await;
        old.goes_on();
        until(|| seen(&channel) == (2, 0)).await;
        others_have_run().await;
        let streams = || alone(&channel).connections.remove(0).streams;
        let before = streams();
        succeeds(&channel).await;
        assert_eq!(streams() - before, u32::from(is_serving));
        assert_eq!(channel.state(), Connectivity::Ready);
        tokio::time::sleep(20 * S).await;
    }
}

// CONTRACT C22, L6
#[tokio::test(start_paused = true)]
async fn where_one_address_is_used_the_addresses_are_tried_anew() {
    let net = Net::default();
    let (old, _second) = (net.serve("first"), net.serve("second"));
    let (_names, builder) = Names::new(&net, &["first", "second"]);
    let channel = connected(builder.picker(PickFirst::new())).await;
    assert_eq!(called(&channel).await, "first");
    old.hold();
    let new = net.serve("first");
    let timed = timed(&channel);
    times_out(&timed).await;
    times_out(&timed).await;
    assert_eq!(called(&channel).await, "first");
    assert_eq!((seen(&channel), net.dials()), ((1, 1), 2));
    tokio::time::sleep(S).await;
    old.go_on();
    until(|| seen(&channel) == (2, 0)).await;
    new.hold();
    old.freeze();
    net.refuse("first");
    for _ in 0..4 {
        times_out(&timed).await;
        others_have_run().await;
    }
    until(|| ready(&channel) == ["second"]).await;
    assert_eq!(called(&channel).await, "second");
}

// CONTRACT C22, C5
#[tokio::test(start_paused = true)]
async fn a_silent_connection_that_is_lost_is_not_missed() {
    let net = Net::default();
    let old = net.serve("host");
    let channel = connected(net.builder()).await;
    succeeds(&channel).await;
    old.hold();
    let _new = net.serve("host");
    falls_silent(&channel).await;
    drop(old);
    until(|| net.open() == 1).await;
    assert_eq!((seen(&channel), net.dials()), ((1, 0), 2));
    succeeds(&channel).await;
}

// CONTRACT C22
#[tokio::test(start_paused = true)]
async fn without_keepalive_no_connection_is_asked() {
    let (net, channel) = moved(Builder::no_keep_alive).await;
    let timed = timed(&channel);
    for _ in 0..5 {
        times_out(&timed).await;
    }
    assert_eq!((seen(&channel), net.dials()), ((1, 0), 1));
}

// CONTRACT C22, O2
#[tokio::test(start_paused = true)]
async fn a_moved_endpoint_is_not_ejected_however_many_calls_were_on_it() {
    let manners = [5; 2].map(Manner::taking);
    let Cluster {
        channel,
        net,
        hosts,
        ..
    } = cluster(&manners, picking(RoundRobin::new())).await;
    let begin = Instant::now();
    let callers: Vec<_> = (0..16)
        .map(|number| {
            let mut client = client(&channel);
            tokio::spawn(async move {
                tokio::time::sleep(number * MS).await;
                while begin.elapsed() < 6 * S {
                    unary(&mut client).await;
                }
            })
        })
        .collect();
    // Answers are under way as it moves.
    tokio::time::sleep(S).await;
    hosts[0].freeze();
    let new = net.serve_as("host-0", &manners[0]);
    let start = Instant::now();
    while start.elapsed() < S * 5 / 2 {
        tokio::time::sleep(10 * MS).await;
        assert_eq!(ejected(&channel), [0; 0], "{}", channel.snapshot());
    }
    let moved = endpoint(&channel, 0);
    assert_eq!((moved.state, moved.silent.len()), (Connectivity::Ready, 1));
    assert_eq!(moved.consecutive_failures, 0, "it answers calls: {moved}");
    for caller in callers {
        caller.await.unwrap();
    }
    drop((hosts, new));
}

// CONTRACT C22, O2
#[tokio::test(start_paused = true)]
async fn a_server_that_answers_pings_and_no_call_is_ejected_for_all_its_timeouts() {
    let manners = [5; 2].map(Manner::taking);
    let cluster = cluster(&manners, picking(RoundRobin::new())).await;
    manners[0].take(60_000);
    let timed = timed(&cluster.channel);
    let calls = (0..10).map(|_| timed.clone().oneshot(declared()));
    let calls: Vec<_> = calls.map(tokio::spawn).collect();
    for call in calls {
        if let Ok(answer) = call.await.unwrap() {
            answer.into_body().collect().await.unwrap();
        }
    }
    others_have_run().await;
    let slow = endpoint(&cluster.channel, 0);
    assert_eq!((slow.consecutive_failures, slow.silent.len()), (5, 0));
    // The other one has to have worked since the row began (CONTRACT O1).
    while ejected(&cluster.channel).is_empty() {
        let slow = endpoint(&cluster.channel, 0);
        assert!(slow.consecutive_failures < 8, "{slow}");
        if let Ok(answer) = timed.clone().oneshot(declared()).await {
            answer.into_body().collect().await.unwrap();
        }
    }
}

// CONTRACT C22
#[tokio::test]
async fn one_ping_is_sent_at_once_and_calls_go_to_the_replacement() {
    let script = Connection::new()
        .streams([Stream::ok(b"")])
        .other_streams(Stream::stall())
        .then(Step::AwaitStreams(2))
        .then(Step::Silence);
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    succeeds(&channel).await;
    let before = peer.pings_received();
    let timed = AttemptTimeoutLayer::new(100 * MS)
        .unwrap()
        .layer(channel.clone());
    // It still answers the first of them with an update of the window, perhaps.
    let mut timeouts = 0;
    while seen(&channel).1 == 0 && alone(&channel).connections.len() == 1 && timeouts < 3 {
        assert_eq!(peer.pings_received(), before);
        times_out(&timed).await;
        timeouts += 1;
        others_have_run().await;
    }
    assert!((2..=3).contains(&timeouts), "{timeouts}");
    peer.wait_for_connections(2).await;
    // The new connection has one of its own.
    until(|| peer.pings_received() == before + 2).await;
    succeeds(&channel).await;
    assert_eq!(peer.streams_seen().len(), 2 + timeouts);
    assert_eq!(peer.pings_received(), before + 2);
}

// CONTRACT C22, C6
#[tokio::test]
async fn a_server_that_closes_a_silent_connection_for_its_pings_gets_fewer() {
    let mut debug = vec![0, 0, 8 + 14, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
    debug.extend(b"too_many_pings");
    let closes = peer::Gate::new();
    let script = Connection::new()
        .streams([Stream::ok(b"")])
        .other_streams(Stream::stall())
        .then(Step::AwaitStreams(1))
        .then(Step::LeavePings)
        .then(Step::AwaitStreams(3))
        .then(Step::Gate(closes.clone()))
        .then(Step::Bytes(debug.into()));
    let heard = Ear::new();
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    succeeds(&channel).await;
    let timed = AttemptTimeoutLayer::new(100 * MS)
        .unwrap()
        .layer(channel.clone());
    for _ in 0..2 {
        // Without DATA it has nothing to say.
        let mut request = request_with(http_body_util::Empty::new());
        request.call_options().idempotent();
        assert!(timed.clone().oneshot(request).await.is_err());
    }
    until(|| seen(&channel) == (1, 1)).await;
    closes.open();
    until(|| seen(&channel) == (1, 0)).await;
    assert_eq!(
        heard.count("too many keepalive PINGs"),
        1,
        "{}",
        heard.text()
    );
    assert_eq!(alone(&channel).go_aways, 1);
    succeeds(&channel).await;
}
