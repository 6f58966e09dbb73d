//! Watches that end: by the server's will, and by ours.

use std::net::SocketAddr;

use grpc_resilience::channel::resolve::Watched;
use grpc_resilience::channel::{Connectivity, Health};
use peer::{Connection, Gate, Headers, LastStream, Peer, Reason as H2Reason, Step, Stream};
use tokio::time::Instant;

use crate::common::health::*;
use crate::common::log::Ear;
use crate::common::net::Net;
use crate::common::*;

fn address(peer: &Peer) -> SocketAddr {
    peer.uri().replace("http://", "").parse().unwrap()
}

fn ends(status: i32, words: &str) -> Stream {
    Stream::status(status, words)
}

// CONTRACT G2, G5, GO-hc-unimplemented, CORE-hc-unimplemented
#[tokio::test]
async fn a_server_without_a_health_service_counts_as_healthy_and_one_warning_says_so() {
    let away = Gate::new();
    let first = Connection::new()
        .streams([ends(12, "unknown service grpc.health.v1.Health")])
        .then(Step::Gate(away.clone()))
        .then(Step::GoAway(LastStream::All, H2Reason::NO_ERROR));
    let second = Connection::new().streams([ends(12, "unknown service grpc.health.v1.Health")]);
    let peer = Peer::start([first, second]).await;
    let ear = Ear::new();
    let channel = connected(builder(&peer).health_check(SERVICE)).await;
    succeeds(&channel).await;
    let words = "UNIMPLEMENTED: unknown service grpc.health.v1.Health";
    assert_eq!(health(&channel), Some((Health::Unchecked, words.into())));
    away.open();
    // Asked again on the next connection, with nothing new to say.
    peer.wait_for_streams(3).await;
    succeeds(&channel).await;
    assert_eq!((watches(&peer).len(), calls(&peer)), (2, 2));
    assert_eq!(ear.count("can't be checked"), 1, "{}", ear.text());
    let text = ear.text();
    assert!(
        text.contains("WARN message=") && text.contains(words),
        "{text}"
    );
    assert!(text.contains(&format!("service=\"{SERVICE}\"")), "{text}");
}

// CONTRACT G5
#[tokio::test]
async fn a_server_that_gets_a_health_service_and_loses_it_again_is_a_new_cause() {
    let gates = [Gate::new(), Gate::new()];
    let with = |watch: Stream, gate: &Gate| {
        Connection::new()
            .streams([watch])
            .then(Step::Gate(gate.clone()))
            .then(Step::GoAway(LastStream::All, H2Reason::NO_ERROR))
    };
    let peer = Peer::start([
        with(ends(12, ""), &gates[0]),
        with(says(1).then(Step::Stall), &gates[1]),
        Connection::new().streams([ends(12, "")]),
    ])
    .await;
    let ear = Ear::new();
    let channel = connected(builder(&peer).health_check(SERVICE)).await;
    for (number, gate) in gates.iter().enumerate() {
        gate.open();
        let found = [Health::Serving, Health::Unchecked][number];
        until(|| health(&channel).is_some_and(|(health, _)| health == found)).await;
    }
    assert_eq!(ear.count("can't be checked"), 2, "{}", ear.text());
}

// CONTRACT G2, G3
#[tokio::test]
async fn a_name_that_the_server_does_not_know_yet_is_asked_for_again() {
    let watches_of = [
        ends(5, "unknown service"),
        ends(5, "unknown service"),
        says(1).then(Step::Stall),
    ];
    let peer = Peer::start([Connection::new().streams(watches_of)]).await;
    let start = Instant::now();
    let channel = builder(&peer).health_check(SERVICE).build().unwrap();
    until(|| channel.state() == Connectivity::TransientFailure).await;
    let words = "NOT_FOUND: unknown service";
    assert_eq!(
        health(&channel),
        Some((Health::ServiceUnknown, words.into()))
    );
    let error = call(&channel).await.unwrap_err();
    assert!(
        error
            .message()
            .contains(&format!("says {words} for {SERVICE}")),
        "{error:?}"
    );
    channel.connected(LONG).await.unwrap();
    // 100 ms and 160 ms, each less 20 % at random.
    assert!(start.elapsed() >= 207 * MS, "{:?}", start.elapsed());
    succeeds(&channel).await;
    assert_eq!((watches(&peer).len(), peer.connections()), (3, 1));
}

// CONTRACT G3
#[tokio::test]
async fn a_watch_that_breaks_is_no_health_and_running_calls_go_on() {
    let page = Headers::http(503, "text/html").ending_the_stream();
    for (end, words) in [
        (
            Step::Reset(H2Reason::INTERNAL_ERROR),
            "unexpected internal error",
        ),
        (
            Step::Headers(Headers::trailers(14).message("going")),
            "UNAVAILABLE: going",
        ),
        (Step::Headers(Headers::trailers(0)), "OK"),
        (
            Step::Data(b"\0\0\0\0\x02\x0a\x09"[..].into()),
            "a message of another type",
        ),
        (
            Step::Data(b"\x01\0\0\0\0"[..].into()),
            "a compressed message",
        ),
        (Step::LastData(b""[..].into()), "UNKNOWN"),
    ] {
        let gates = [(); 3].map(|()| Gate::new());
        let [broken, again, done] = gates.clone();
        let first = says(1).then(Step::Gate(broken)).then(end);
        let second = says(1).after(Step::Gate(again)).then(Step::Stall);
        let call = Stream::ok(b"").after(Step::Gate(done));
        let peer = Peer::start([Connection::new().streams([first, call, second])]).await;
        let channel = connected(builder(&peer).health_check(SERVICE)).await;
        let runs = spawn(&channel);
        peer.wait_for_streams(2).await;
        gates[0].open();
        until(|| channel.state() == Connectivity::TransientFailure).await;
        let (found, said) = health(&channel).unwrap();
        assert!(found == Health::Ended && said.contains(words), "{said}");
        let error = crate::common::call(&channel).await.unwrap_err();
        let text = format!("ended the health watch of {SERVICE}: {said}");
        assert!(error.message().contains(&text), "{error:?}");
        gates[1].open();
        until(|| channel.state() == Connectivity::Ready).await;
        gates[2].open();
        assert_eq!(status(runs.await.unwrap()).await, 0);
        assert_eq!(peer.connections(), 1);
    }
    // A proxy's page.
    let script = [Stream::new()
        .then(Step::AwaitRequest)
        .then(Step::Headers(page))];
    let peer = Peer::start([Connection::new().streams(script)]).await;
    let channel = builder(&peer).health_check(SERVICE).build().unwrap();
    until(|| health(&channel).is_some()).await;
    let (found, said) = health(&channel).unwrap();
    assert!(
        found == Health::Ended && said.starts_with("UNAVAILABLE"),
        "{said}"
    );
}

// CONTRACT G3, CORE-hc-stream-end
#[tokio::test]
async fn a_server_that_ends_each_watch_after_a_message_is_not_asked_without_a_pause() {
    let watch = says(2).then(Step::Headers(Headers::trailers(0)));
    let peer = Peer::always(Connection::new().other_streams(watch)).await;
    let channel = builder(&peer).health_check(SERVICE).build().unwrap();
    let start = Instant::now();
    peer.wait_for_streams(4).await;
    assert!(start.elapsed() >= 290 * MS, "{:?}", start.elapsed());
    assert_ne!(channel.state(), Connectivity::Ready);
    assert_eq!(peer.connections(), 1);
}

/// Waits for the reset of the watch, and for no other.
async fn watch_is_cancelled(peer: &Peer, connection: usize) {
    peer.wait_for_resets(1).await;
    let resets = peer.resets_received();
    assert_eq!(resets.len(), 1);
    assert_eq!((resets[0].connection, resets[0].stream), (connection, 1));
    assert_eq!(resets[0].reason, H2Reason::CANCEL);
}

// CONTRACT G6, C5, GO-hc-goaway, GO-hc-drain
#[tokio::test]
async fn a_goaway_cancels_the_watch_at_once_and_calls_go_on() {
    let (away, done) = (Gate::new(), Gate::new());
    let script = Connection::new()
        .streams([
            says(1).then(Step::Stall),
            Stream::ok(b"").after(Step::Gate(done.clone())),
        ])
        .then(Step::Gate(away.clone()))
        .then(Step::GoAway(LastStream::All, H2Reason::NO_ERROR));
    let peer = Peer::start([script, watched(says(1))]).await;
    let channel = connected(builder(&peer).health_check(SERVICE)).await;
    let runs = spawn(&channel);
    peer.wait_for_streams(2).await;
    away.open();
    watch_is_cancelled(&peer, 0).await;
    // The replacement is watched, too.
    peer.wait_for_streams(3).await;
    succeeds(&channel).await;
    assert_eq!(peer.open_connections(), 2);
    done.open();
    assert_eq!(status(runs.await.unwrap()).await, 0);
    peer.wait_for_closed(1).await;
}

// CONTRACT G6, JAVA-hc-shutdown
#[tokio::test]
async fn a_close_cancels_the_watch_while_a_call_runs() {
    let done = Gate::new();
    let script = watched(says(1)).other_streams(Stream::ok(b"").after(Step::Gate(done.clone())));
    let peer = Peer::start([script]).await;
    let channel = connected(builder(&peer).health_check(SERVICE)).await;
    let runs = spawn(&channel);
    peer.wait_for_streams(2).await;
    let close = tokio::spawn({
        let channel = channel.clone();
        async move { channel.close().await }
    });
    watch_is_cancelled(&peer, 0).await;
    assert_eq!(peer.open_connections(), 1);
    done.open();
    assert_eq!(status(runs.await.unwrap()).await, 0);
    close.await.unwrap();
    peer.wait_for_closed(1).await;
}

// CONTRACT G6
#[tokio::test]
async fn the_last_clone_takes_its_watches_with_it() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let peer = Peer::start([watched(says(2))]).await;
    others_have_run().await;
    let before = tasks();
    let channel = builder(&peer).health_check(SERVICE).build().unwrap();
    until(|| channel.state() == Connectivity::TransientFailure).await;
    drop(channel);
    watch_is_cancelled(&peer, 0).await;
    peer.wait_for_closed(1).await;
    until(|| tasks() <= before + 1).await;
}

// CONTRACT G6
#[tokio::test]
async fn a_channel_that_ends_before_the_first_answer_leaves_nothing() {
    let peer = Peer::start([watched(Stream::new())]).await;
    let channel = builder(&peer).health_check(SERVICE).build().unwrap();
    peer.wait_for_streams(1).await;
    drop(channel);
    watch_is_cancelled(&peer, 0).await;
    peer.wait_for_closed(1).await;
}

// CONTRACT G6, N10
#[tokio::test]
async fn an_address_that_is_removed_loses_its_watch_and_keeps_its_calls() {
    let done = Gate::new();
    let script = watched(says(1)).other_streams(Stream::ok(b"").after(Step::Gate(done.clone())));
    let peer = Peer::start([script]).await;
    let other = Peer::start([watched(says(1))]).await;
    let [here, there] = [&peer, &other].map(address);
    let (addresses, receiver) = tokio::sync::watch::channel(vec![here]);
    let resolver = Watched::new(receiver);
    let channel = connected(builder(&peer).resolver(resolver).health_check(SERVICE)).await;
    let runs = spawn(&channel);
    peer.wait_for_streams(2).await;
    addresses.send_replace(vec![there]);
    watch_is_cancelled(&peer, 0).await;
    assert_eq!(peer.open_connections(), 1);
    done.open();
    assert_eq!(status(runs.await.unwrap()).await, 0);
    peer.wait_for_closed(1).await;
    assert_eq!(peer.connections(), 1);
}

// CONTRACT G4
#[tokio::test(start_paused = true)]
async fn a_server_that_dies_is_dialled_as_without_a_health_check() {
    let net = Net::default();
    let ward = Ward::new(&net, "host", false).await;
    let channel = net.builder().health_check(SERVICE).build().unwrap();
    until(|| channel.state() == Connectivity::TransientFailure).await;
    tokio::time::sleep(60_000 * MS).await;
    assert_eq!(net.dials(), 1);
    drop(ward);
    until(|| net.dials() > 1).await;
    let error = call(&channel).await.unwrap_err().to_string();
    assert!(
        !error.contains("NOT_SERVING"),
        "it is not the latest reason: {error}"
    );
    // Sticky: no CONNECTING in between (gRFC A62).
    assert_eq!(channel.state(), Connectivity::TransientFailure);
    let _ward = Ward::new(&net, "host", true).await;
    let start = Instant::now();
    channel.connected(LONG).await.unwrap();
    assert!(start.elapsed() < 900 * MS, "{:?}", start.elapsed());
    succeeds(&channel).await;
}
