//! Calls that are dropped, and answers that cross their resets.

use grpc_resilience::channel::Channel;
use peer::{Connection, Gate, Peer, Step, Stream};

use crate::common::*;

/// More than h2 takes as faults of the server on one connection.
const DROPPED: usize = 3_000;

/// Heads that end the first streams of a connection, as a server sends them that has not seen their
/// resets.
fn late_answers(count: usize) -> Vec<u8> {
    let streams = (0..count).map(|number| u32::try_from(2 * number + 1).unwrap());
    let head = |stream: u32| {
        let [a, b, c, d] = stream.to_be_bytes();
        // HEADERS with END_STREAM and END_HEADERS; `:status: 200` is in HPACK's static table.
        [0, 0, 1, 1, 5, a, b, c, d, 0x88]
    };
    streams.flat_map(head).collect()
}

// CONTRACT C10
#[tokio::test]
async fn late_answers_to_dropped_calls_cost_no_connection() {
    let gate = Gate::new();
    let held = std::iter::repeat_with(Stream::stall).take(DROPPED);
    let script = Connection::new()
        .streams(held)
        .then(Step::Gate(gate.clone()))
        .then(Step::Bytes(late_answers(DROPPED).into()))
        .then(Step::Settle);
    let peer = Peer::start([script]).await;
    let channel = Channel::builder(peer.uri())
        .max_connections(1)
        .build()
        .unwrap();
    channel.connected(LONG).await.unwrap();
    let calls: Vec<_> = (0..DROPPED).map(|_| spawn(&channel)).collect();
    peer.wait_for_streams(DROPPED).await;
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    peer.wait_for_resets(DROPPED).await;
    gate.open();
    succeeds(&channel).await;
    assert_eq!(peer.connections(), 1);
}
