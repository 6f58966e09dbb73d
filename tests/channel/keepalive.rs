//! PINGs, and peers that say nothing any more.

use std::time::Duration;

use grpc_resilience::classify::{Progress, Reason};
use peer::{Connection, LastStream, Peer, Reason as H2Reason, Step, Stream};
use tokio::time::Instant;

use crate::common::net::Net;
use crate::common::*;

const S: Duration = Duration::from_secs(1);

// CONTRACT C11, GO-ka-unresponsive
#[tokio::test(start_paused = true)]
async fn a_frozen_peer_is_found_by_its_calls() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder()).await;
    succeeds(&channel).await;
    net.freeze();
    let start = Instant::now();
    let error = call(&channel).await.unwrap_err();
    assert_eq!(error.verdict().reason, Reason::KeepaliveTimeout);
    assert_eq!(error.progress(), Progress::Reached);
    let found = start.elapsed();
    assert!(found >= 40 * S && found < 41 * S, "{found:?}");
    assert_eq!(connections(&channel), 0);
}

// CONTRACT C11
#[tokio::test(start_paused = true)]
async fn an_idle_connection_sends_no_ping_unless_told_so() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder()).await;
    succeeds(&channel).await;
    let writes = || net.seen.writes.load(std::sync::atomic::Ordering::Acquire);
    tokio::time::sleep(S).await;
    let before = writes();
    tokio::time::sleep(1_000 * S).await;
    assert_eq!(writes(), before);

    let told = connected(net.builder().keep_alive_while_idle(true)).await;
    tokio::time::sleep(S).await;
    let before = writes();
    tokio::time::sleep(28 * S).await;
    assert_eq!(writes(), before);
    tokio::time::sleep(2 * S).await;
    assert_eq!(writes(), before + 1);
    // Only PONGs arrive: the next one is due after 5 minutes.
    tokio::time::sleep(290 * S).await;
    assert_eq!(writes(), before + 1);
    tokio::time::sleep(11 * S).await;
    assert_eq!(writes(), before + 2);
    succeeds(&told).await;
}

// CONTRACT C6, A8-too-many-pings
#[tokio::test]
async fn too_many_pings_double_the_time_of_the_endpoint() {
    let mut debug = vec![0, 0, 8 + 14, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
    debug.extend(b"too_many_pings");
    let script = Connection::new()
        .streams([Stream::ok(b"")])
        .then(Step::AwaitStreams(1))
        .then(Step::Wait(20 * MS))
        .then(Step::Bytes(debug.into()));
    let peer = Peer::start([script]).await;
    let heard = crate::common::log::Ear::new();
    let channel = channel(&peer).await;
    succeeds(&channel).await;
    peer.wait_for_connections(2).await;
    until(|| heard.count("too many keepalive PINGs") == 1).await;
    assert!(
        heard.text().contains("keep_alive_interval=60s"),
        "{}",
        heard.text()
    );
}

// CONTRACT C6
#[tokio::test]
async fn other_goaways_leave_the_keepalive_as_it_is() {
    let script = Connection::new().streams([Stream::ok(b"")]).goaway_after(
        1,
        LastStream::All,
        H2Reason::ENHANCE_YOUR_CALM,
    );
    let peer = Peer::start([script]).await;
    let heard = crate::common::log::Ear::new();
    let channel = channel(&peer).await;
    let _ = call(&channel).await;
    peer.wait_for_connections(2).await;
    succeeds(&channel).await;
    assert_eq!(heard.count("too many keepalive PINGs"), 0);
}

// CONTRACT C11, GO-ka-unresponsive
#[tokio::test(start_paused = true)]
async fn a_frozen_idle_peer_is_found_if_idle_pings_are_permitted() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder().keep_alive_while_idle(true)).await;
    succeeds(&channel).await;
    net.freeze();
    tokio::time::sleep(39 * S).await;
    assert_eq!(connections(&channel), 1);
    tokio::time::sleep(2 * S).await;
    assert_eq!(connections(&channel), 0);
}

// CONTRACT C11, JAVA-ka-data
#[tokio::test(start_paused = true)]
async fn data_that_arrives_puts_the_ping_off() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder()).await;
    let writes = || net.seen.writes.load(std::sync::atomic::Ordering::Acquire);
    let (sender, body) = streaming();
    let answer = send(&channel, bidi(body)).await.unwrap();
    let mut before = writes();
    for _ in 0..5 {
        tokio::time::sleep(20 * S).await;
        sender.send(message(b"")).unwrap();
        tokio::time::sleep(S).await;
        // The message, and not a PING besides.
        assert_eq!(writes(), before + 1);
        before = writes();
    }
    tokio::time::sleep(31 * S).await;
    assert_eq!(writes(), before + 1, "the PING");
    drop(answer);
}
