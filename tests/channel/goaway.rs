//! Connections that go away.

use std::time::Duration;

use grpc_resilience::classify::{Progress, Reason};
use peer::{Connection, Gate, LastStream, Peer, Reason as H2Reason, Step, Stream};
use tonic::transport::Server;

use crate::common::net::Net;
use crate::common::*;

// CONTRACT C5, GO-goaway-active
#[tokio::test]
async fn a_stream_within_the_goaway_goes_on_and_new_calls_take_a_new_connection() {
    let (away, gate) = (Gate::new(), Gate::new());
    let script = Connection::new()
        .streams([Stream::ok(b"").after(Step::Gate(gate.clone()))])
        .then(Step::AwaitStreams(1))
        .then(Step::Gate(away.clone()))
        .then(Step::GoAway(LastStream::All, H2Reason::NO_ERROR));
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    let first = spawn(&channel);
    peer.wait_for_streams(1).await;
    away.open();
    // The replacement is dialled without a call.
    peer.wait_for_connections(2).await;
    succeeds(&channel).await;
    assert_eq!(peer.streams_seen()[1].connection, 1);
    gate.open();
    assert_eq!(status(first.await.unwrap()).await, 0);
    peer.wait_for_closed(1).await;
    succeeds(&channel).await;
    assert_eq!((peer.connections(), peer.open_connections()), (2, 1));
}

// CONTRACT C5, I4a, GO-goaway-lower-id
#[tokio::test]
async fn streams_above_the_goaway_are_refused_with_its_reason() {
    for (code, reason) in [
        (H2Reason::NO_ERROR, Reason::GoAway),
        (H2Reason::ENHANCE_YOUR_CALM, Reason::GoAwayError),
    ] {
        let script = Connection::new()
            .streams([Stream::ok(b""), Stream::stall()])
            .goaway_after(2, LastStream::Below, code);
        let peer = Peer::start([script]).await;
        let channel = channel(&peer).await;
        succeeds(&channel).await;
        let error = call(&channel).await.unwrap_err();
        assert_eq!(error.progress(), Progress::Refused);
        assert_eq!(error.verdict().reason, reason);
        succeeds(&channel).await;
    }
}

// CONTRACT C5, GO-goaway-graceful
#[tokio::test]
async fn a_server_that_ages_its_connections_loses_no_call() {
    let net = Net::default();
    let server = Server::builder().max_connection_age(Duration::from_millis(15));
    let _host = net.serve_with("host", server);
    let channel = connected(net.builder()).await;
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move {
                let mut failed = Vec::new();
                for _ in 0..300 {
                    match call(&channel).await {
                        Err(error) if error.progress() == Progress::Refused => {
                            // A retry layer sends it again: nothing of it began.
                            succeeds(&channel).await;
                        }
                        Err(error) => failed.push(error),
                        answer => assert_eq!(status(answer).await, 0),
                    }
                }
                failed
            })
        })
        .collect();
    for caller in callers {
        let failed = caller.await.unwrap();
        assert!(failed.is_empty(), "{failed:?}");
    }
    assert!(net.dials() > 2, "{} dials", net.dials());
}

// CONTRACT C3, JAVA-backoff-pass
#[tokio::test]
async fn a_peer_that_goes_away_before_any_call_is_not_dialled_in_a_row() {
    let script = Connection::new()
        .then(Step::AwaitPreface)
        .then(Step::Settle)
        .then(Step::GoAway(LastStream::All, H2Reason::NO_ERROR));
    let peer = Peer::always(script).await;
    let start = tokio::time::Instant::now();
    let _channel = builder(&peer).build().unwrap();
    peer.wait_for_connections(4).await;
    // The first in a row is replaced 100 ms after its dial, and so is the second. The wait after
    // the third is 160 ms, less 20 % of jitter.
    let taken = start.elapsed();
    assert!(taken >= Duration::from_millis(100 + 100 + 128), "{taken:?}");
}
