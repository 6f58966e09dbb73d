//! A watch beside calls: what counts it, and what does not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use grpc_resilience::channel::{Connectivity, Health};
use grpc_resilience::classify::Reason;
use peer::{Connection, Gate, Peer, Step, Stream};

use crate::common::health::*;
use crate::common::log::Ear;
use crate::common::net::Net;
use crate::common::*;

const S: Duration = Duration::from_secs(1);

// CONTRACT G5, C7
#[tokio::test]
async fn with_a_stream_limit_of_1_calls_run_and_the_watch_is_given_up() {
    let peer = Peer::always(Connection::new().max_concurrent_streams(1)).await;
    let ear = Ear::new();
    let channel = connected(builder(&peer).health_check(SERVICE)).await;
    let calls: Vec<_> = (0..20).map(|_| spawn(&channel)).collect();
    for call in calls {
        assert_eq!(status(call.await.unwrap()).await, 0);
    }
    assert_eq!((watches(&peer).len(), peer.streams_seen().len()), (0, 20));
    let (found, words) = health(&channel).unwrap();
    assert!(
        found == Health::Unchecked && words.contains("MAX_CONCURRENT_STREAMS 1"),
        "{words}"
    );
    assert_eq!(ear.count("can't be checked"), 1, "{}", ear.text());
}

// CONTRACT G5, C7
#[tokio::test]
async fn a_limit_that_falls_to_1_ends_the_watch_and_one_that_rises_begins_it_anew() {
    let [lower, raise, running] = [(); 3].map(|()| Gate::new());
    let script = Connection::new()
        .max_concurrent_streams(5)
        .streams([
            says(1).then(Step::Stall),
            Stream::ok(b"").after(Step::Gate(running.clone())),
            says(2).then(Step::Stall),
        ])
        .then(Step::Gate(lower.clone()))
        .then(Step::MaxConcurrentStreams(1))
        .then(Step::Gate(raise.clone()))
        .then(Step::MaxConcurrentStreams(2));
    let peer = Peer::start([script]).await;
    let channel = connected(builder(&peer).health_check(SERVICE)).await;
    lower.open();
    peer.wait_for_resets(1).await;
    assert_eq!(peer.resets_received()[0].stream, 1);
    until(|| health(&channel).unwrap().0 == Health::Unchecked).await;
    let runs = spawn(&channel);
    peer.wait_for_streams(2).await;
    running.open();
    assert_eq!(status(runs.await.unwrap()).await, 0);
    assert_eq!(channel.state(), Connectivity::Ready);
    raise.open();
    until(|| channel.state() == Connectivity::TransientFailure).await;
    assert_eq!(watches(&peer).len(), 2);
}

// CONTRACT G4, C7
#[tokio::test]
async fn a_watch_counts_for_the_limit_of_the_server_and_not_for_the_own() {
    let done = Gate::new();
    let stream = Stream::ok(b"").after(Step::Gate(done.clone()));
    let script = watched(says(1))
        .other_streams(stream)
        .max_concurrent_streams(3);
    let peer = Peer::start([script]).await;
    let channel = connected(builder(&peer).health_check(SERVICE)).await;
    let calls: Vec<_> = (0..5).map(|_| spawn(&channel)).collect();
    peer.wait_for_streams(3).await;
    until(|| channel.snapshot().waiting == 3).await;
    let connection = &endpoint(&channel).connections[0];
    assert_eq!(
        (connection.in_flight, connection.limit, connection.streams),
        (2, 2, 2)
    );
    assert_eq!(endpoint(&channel).in_flight, 2);
    done.open();
    for call in calls {
        assert_eq!(status(call.await.unwrap()).await, 0);
    }

    let done = Gate::new();
    let stream = Stream::ok(b"").after(Step::Gate(done.clone()));
    let peer = Peer::start([watched(says(1)).other_streams(stream)]).await;
    let own = builder(&peer)
        .max_concurrent_streams(1)
        .health_check(SERVICE);
    let channel = connected(own).await;
    let calls: Vec<_> = (0..2).map(|_| spawn(&channel)).collect();
    peer.wait_for_streams(2).await;
    assert_eq!(health(&channel).unwrap().0, Health::Serving);
    done.open();
    for call in calls {
        assert_eq!(status(call.await.unwrap()).await, 0);
    }
}

// CONTRACT G4, G5
#[tokio::test]
async fn without_a_health_service_calls_have_all_streams_of_the_server() {
    let script = Connection::new()
        .streams([Stream::status(12, "")])
        .other_streams(Stream::stall())
        .max_concurrent_streams(2);
    let peer = Peer::start([script]).await;
    let channel = connected(builder(&peer).health_check(SERVICE)).await;
    let calls: Vec<_> = (0..2).map(|_| spawn(&channel)).collect();
    peer.wait_for_streams(3).await;
    assert_eq!(endpoint(&channel).connections[0].limit, 2);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}

// CONTRACT G4
#[tokio::test(start_paused = true)]
async fn a_watch_shows_in_no_count_of_calls() {
    let net = Net::default();
    let _ward = Ward::new(&net, "host", true).await;
    let channel = connected(net.builder().health_check(SERVICE)).await;
    tokio::time::sleep(30 * S).await;
    let seen = endpoint(&channel);
    assert_eq!((seen.in_flight, seen.latency, seen.go_aways), (0, None, 0));
    assert!(seen.share.abs() < f64::EPSILON && seen.recent_failures.abs() < f64::EPSILON);
    let connection = &seen.connections[0];
    assert_eq!((connection.in_flight, connection.streams), (0, 0));
    succeeds(&channel).await;
    assert_eq!(endpoint(&channel).connections[0].streams, 1);
}

// CONTRACT G4
#[tokio::test(start_paused = true)]
async fn a_watch_is_no_use_of_a_connection() {
    let net = Net::default();
    let ward = Ward::new(&net, "host", true).await;
    let channel = connected(net.builder().max_idle(60 * S).health_check(SERVICE)).await;
    succeeds(&channel).await;
    // Answers of the server, and watches that begin anew, are none either.
    for _ in 0..5 {
        tokio::time::sleep(10 * S).await;
        ward.forgets().await;
        ward.serves(true).await;
    }
    tokio::time::sleep(26 * S).await;
    assert_eq!((channel.state(), net.open()), (Connectivity::Idle, 0));
    succeeds(&channel).await;
    assert_eq!(net.dials(), 2);
}

// CONTRACT G4
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_closed_for_want_of_calls_while_unhealthy_is_made_for_the_next() {
    let net = Net::default();
    let ward = Ward::new(&net, "host", false).await;
    let channel = net
        .builder()
        .max_idle(60 * S)
        .health_check(SERVICE)
        .build()
        .unwrap();
    tokio::time::sleep(80 * S).await;
    assert_eq!((channel.state(), net.open()), (Connectivity::Idle, 0));
    ward.serves(true).await;
    succeeds(&channel).await;
    assert_eq!(net.dials(), 2);
}

// CONTRACT G4, C11
#[tokio::test(start_paused = true)]
async fn a_watch_keeps_pings_going_so_a_frozen_server_is_found_without_calls() {
    let net = Net::default();
    let ward = Ward::new(&net, "host", true).await;
    let channel = connected(net.builder().health_check(SERVICE)).await;
    let writes = || net.seen.writes.load(Ordering::Acquire);
    tokio::time::sleep(S).await;
    let before = writes();
    tokio::time::sleep(30 * S).await;
    assert_eq!(writes(), before + 1, "one PING");
    ward.freezes();
    tokio::time::sleep(300 * S).await;
    assert_eq!(connections(&channel), 1);
    tokio::time::sleep(11 * S).await;
    assert_eq!(connections(&channel), 0);
    let error = call(&channel).await.unwrap_err();
    assert_eq!(error.verdict().reason, Reason::ConnectFailed);
}

// CONTRACT G4, C11
#[tokio::test(start_paused = true)]
async fn without_a_health_service_an_idle_connection_sends_no_ping() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder().health_check(SERVICE)).await;
    let writes = || net.seen.writes.load(Ordering::Acquire);
    tokio::time::sleep(S).await;
    let before = writes();
    tokio::time::sleep(1_000 * S).await;
    assert_eq!(writes(), before);
    assert_eq!(health(&channel).unwrap().0, Health::Unchecked);
}

// CONTRACT G1, C8
#[tokio::test(start_paused = true)]
async fn a_second_connection_takes_calls_only_once_its_own_watch_says_serving() {
    let net = Net::default();
    let ward = Ward::new(&net, "host", true).await;
    let channel = connected(net.builder().health_check(SERVICE)).await;
    // A round trip has to be as long as the test wants it: the server is another one by then.
    let other = Ward::new(&net, "host", false).await;
    let mut streams = Vec::new();
    for _ in 0..40 {
        let (sender, body) = streaming();
        let answer = send(&channel, bidi(body)).await.unwrap();
        streams.push((sender, answer));
    }
    until(|| connections(&channel) == 2).await;
    tokio::time::sleep(S).await;
    assert_eq!((ward.manner.calls(), other.manner.calls()), (40, 0));
    assert_eq!((channel.state(), net.dials()), (Connectivity::Ready, 2));
    assert_eq!(
        health(&channel).unwrap().0,
        Health::Serving,
        "the best of them"
    );
    other.serves(true).await;
    tokio::time::sleep(MS).await;
    succeeds(&channel).await;
    assert_eq!((ward.manner.calls(), other.manner.calls()), (40, 1));
    // The first one is not serving, and the second takes all.
    ward.serves(false).await;
    tokio::time::sleep(MS).await;
    succeeds(&channel).await;
    assert_eq!((ward.manner.calls(), other.manner.calls()), (40, 2));
    assert_eq!(channel.state(), Connectivity::Ready);
    other.serves(false).await;
    tokio::time::sleep(MS).await;
    assert!(call(&channel).await.is_err());
    for (sender, answer) in streams {
        drop(sender);
        assert_eq!(status(Ok(answer)).await, 0);
    }
}

// CONTRACT G4, C3
#[tokio::test(start_paused = true)]
async fn the_answer_to_a_watch_proves_nothing_of_calls() {
    let net = Net::default();
    let mut dials = Vec::new();
    for _ in 0..3 {
        // It answers the watch, and dies before a call.
        let ward = Ward::new(&net, "host", true).await;
        dials.push(ward);
    }
    let ward = dials.pop().unwrap();
    let channel = connected(net.builder().health_check(SERVICE)).await;
    let start = tokio::time::Instant::now();
    drop(ward);
    let ward = Ward::new(&net, "host", true).await;
    until(|| net.dials() == 2).await;
    assert!(
        start.elapsed() >= 100 * MS,
        "two dials within {:?}",
        start.elapsed()
    );
    until(|| channel.state() == Connectivity::Ready).await;
    succeeds(&channel).await;
    let start = tokio::time::Instant::now();
    drop(ward);
    let _ward = Ward::new(&net, "host", true).await;
    until(|| net.dials() == 3).await;
    assert!(
        start.elapsed() < 5 * MS,
        "a call was served: {:?}",
        start.elapsed()
    );
}
