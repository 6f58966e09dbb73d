//! Connections that are lost: what is proven of the calls on them.

use grpc_resilience::channel::Connectivity;
use grpc_resilience::classify::{Progress, Reason};
use peer::{Connection, Peer, Step, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::common::net::Net;
use crate::common::*;

/// SETTINGS without a setting, and one that acknowledges.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const PONG: [u8; 9] = [0, 0, 8, 6, 1, 0, 0, 0, 0];

// CONTRACT C16, I4a
#[tokio::test(start_paused = true)]
async fn a_goaway_that_lies_unread_when_a_write_fails_still_counts() {
    let net = Net::default();
    let mut accepted = net.accept("host");
    let channel = net.builder().build().unwrap();
    let mut peer = accepted.recv().await.unwrap();
    peer.write_all(&SETTINGS).await.unwrap();
    // The preface, SETTINGS, the window and the PING: it is answered with its own payload.
    let mut read = vec![0; 4_096];
    let mut filled = 0;
    let ping = loop {
        filled += peer.read(&mut read[filled..]).await.unwrap();
        let ping = read[..filled]
            .windows(9)
            .position(|it| it == [0, 0, 8, 6, 0, 0, 0, 0, 0]);
        if let Some(at) = ping.filter(|at| at + 17 <= filled) {
            break read[at + 9..at + 17].to_vec();
        }
    };
    peer.write_all(&[&PONG[..], &ping].concat()).await.unwrap();
    until(|| channel.state() == Connectivity::Ready).await;
    // In one moment: the peer says that it processed nothing, and is gone; a call is sent into it.
    peer.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    net.refuse("host");
    drop(peer);
    let error = call(&channel).await.unwrap_err();
    assert!(error.progress().is_unprocessed(), "{error:?}");
}

// CONTRACT C16
#[tokio::test]
async fn calls_after_a_lost_connection_go_to_the_next_one() {
    let script = Connection::new().streams([Stream::from([Step::AwaitRequest, Step::Abort])]);
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    let error = call(&channel).await.unwrap_err();
    assert_eq!(error.verdict().reason, Reason::ConnectionLost);
    succeeds(&channel).await;
    assert_eq!(peer.connections(), 2);
}

// CONTRACT C16, C8
#[tokio::test]
async fn calls_that_wait_for_a_slot_survive_a_lost_connection() {
    let script = Connection::new()
        .max_concurrent_streams(1)
        .streams([Stream::from([
            Step::AwaitRequest,
            Step::Wait(50 * MS),
            Step::Abort,
        ])]);
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    let first = spawn(&channel);
    peer.wait_for_streams(1).await;
    let waiting: Vec<_> = (0..20).map(|_| spawn(&channel)).collect();
    assert_eq!(
        first.await.unwrap().unwrap_err().progress(),
        Progress::Reached
    );
    for call in waiting {
        assert_eq!(status(call.await.unwrap()).await, 0);
    }
}

// CONTRACT W9
#[tokio::test(start_paused = true)]
async fn a_connection_that_served_a_call_is_replaced_at_once_and_calls_wait_for_that() {
    let net = Net::default();
    let host = net.serve("host");
    let channel = connected(net.builder()).await;
    succeeds(&channel).await;
    let start = tokio::time::Instant::now();
    drop(host);
    let _host = net.serve("host");
    until(|| net.dials() == 2).await;
    succeeds(&channel).await;
    assert!(start.elapsed() < 50 * MS, "{:?}", start.elapsed());
}
