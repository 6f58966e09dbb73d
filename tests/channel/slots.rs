//! Streams are counted above h2 (spike (a) of the channel's plan, kept as tests).

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::classify::{Progress, Reason};
use peer::{Connection, Gate, Peer, Reason as H2Reason, Step, Stream};

use crate::common::*;

fn ok_after(gate: &Gate) -> Stream {
    Stream::ok(b"").after(Step::Gate(gate.clone()))
}

// CONTRACT C7, C10
#[tokio::test]
async fn a_cancelled_call_frees_its_slot_with_its_reset() {
    let script = Connection::new()
        .max_concurrent_streams(1)
        .streams([Stream::stall()]);
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    let first = spawn(&channel);
    peer.wait_for_streams(1).await;
    first.abort();
    succeeds(&channel).await;
    assert_eq!(peer.streams_seen().len(), 2);
    let resets = peer.resets_received();
    assert_eq!(resets.len(), 1);
    assert_eq!((resets[0].stream, resets[0].reason), (1, H2Reason::CANCEL));
    assert_eq!(in_flight(&channel), 0);
}

// CONTRACT C8, C10
#[tokio::test]
async fn a_call_without_a_slot_waits_and_sends_nothing_when_it_is_dropped() {
    let gate = Gate::new();
    let script = Connection::new()
        .max_concurrent_streams(1)
        .streams([ok_after(&gate)]);
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    let first = spawn(&channel);
    peer.wait_for_streams(1).await;
    let waits = spawn(&channel);
    until(|| channel.snapshot().waiting == 1).await;
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    assert_eq!(channel.snapshot().waiting, 0);
    gate.open();
    assert_eq!(status(first.await.unwrap()).await, 0);
    succeeds(&channel).await;
    assert_eq!(peer.streams_seen().len(), 2);
    assert_eq!(peer.resets_received(), []);
}

// CONTRACT C8
#[tokio::test]
async fn waiting_calls_go_in_order_as_slots_are_freed() {
    let script = Connection::new().max_concurrent_streams(2);
    let peer = Peer::always(script).await;
    let channel = channel(&peer).await;
    let calls: Vec<_> = (0..50).map(|_| spawn(&channel)).collect();
    for call in calls {
        assert_eq!(status(call.await.unwrap()).await, 0);
    }
    assert_eq!(peer.streams_seen().len(), 50);
    assert_eq!((in_flight(&channel), channel.snapshot().waiting), (0, 0));
}

// CONTRACT C7
#[tokio::test]
async fn a_lowered_limit_holds_new_calls_above_h2() {
    let (gate, lowered) = (Gate::new(), Gate::new());
    let script = Connection::new()
        .max_concurrent_streams(3)
        .other_streams(ok_after(&gate))
        .then(Step::Gate(lowered.clone()))
        .then(Step::MaxConcurrentStreams(1))
        .then(Step::Settle);
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    let open: Vec<_> = (0..3).map(|_| spawn(&channel)).collect();
    peer.wait_for_streams(3).await;
    lowered.open();
    let limit = || channel.snapshot().endpoints[0].connections[0].limit;
    until(|| limit() == 1).await;
    let waiting: Vec<_> = (0..2).map(|_| spawn(&channel)).collect();
    until(|| channel.snapshot().waiting == 2).await;
    // What is dropped now was never sent.
    waiting[0].abort();
    gate.open();
    for call in open {
        assert_eq!(status(call.await.unwrap()).await, 0);
    }
    for call in waiting.into_iter().skip(1) {
        assert_eq!(status(call.await.unwrap()).await, 0);
    }
    assert_eq!(peer.streams_seen().len(), 4);
    assert_eq!(peer.resets_received(), []);
}

// CONTRACT C7
#[tokio::test]
async fn a_raised_limit_lets_waiting_calls_go() {
    let raised = Gate::new();
    let script = Connection::new()
        .max_concurrent_streams(1)
        .streams([Stream::stall()])
        .then(Step::Gate(raised.clone()))
        .then(Step::MaxConcurrentStreams(2));
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    let _stalls = spawn(&channel);
    peer.wait_for_streams(1).await;
    let waits = spawn(&channel);
    until(|| channel.snapshot().waiting == 1).await;
    raised.open();
    assert_eq!(status(waits.await.unwrap()).await, 0);
}

// CONTRACT C7
#[tokio::test]
async fn a_limit_of_zero_is_not_ready_and_no_hang() {
    let (zero, one) = (Gate::new(), Gate::new());
    let script = Connection::new()
        .then(Step::Gate(zero.clone()))
        .then(Step::MaxConcurrentStreams(0))
        .then(Step::Gate(one.clone()))
        .then(Step::MaxConcurrentStreams(1));
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    zero.open();
    until(|| channel.snapshot().endpoints[0].connections[0].limit == 0).await;
    let error = call(&channel).await.unwrap_err();
    assert_eq!(error.progress(), Progress::NotSent);
    assert_eq!(error.verdict().reason, Reason::NotReady);
    let mut patient = request();
    patient.call_options().wait_for_ready();
    let waits = tokio::spawn({
        let channel = channel.clone();
        async move { send(&channel, patient).await }
    });
    until(|| channel.snapshot().waiting == 1).await;
    one.open();
    assert_eq!(status(waits.await.unwrap()).await, 0);
    assert_eq!(peer.streams_seen().len(), 1);
}

// CONTRACT C19
#[tokio::test]
async fn a_refused_stream_lowers_the_connection_s_own_limit() {
    let gate = Gate::new();
    let script = Connection::new()
        .max_concurrent_streams(8)
        .streams([Stream::refuse()])
        .other_streams(ok_after(&gate));
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    let calls: Vec<_> = (0..8).map(|_| spawn(&channel)).collect();
    peer.wait_for_streams(8).await;
    let limit = || channel.snapshot().endpoints[0].connections[0].limit;
    until(|| limit() == 6).await;
    gate.open();
    let mut refused = 0;
    for call in calls {
        match call.await.unwrap() {
            Err(error) => {
                assert_eq!(error.verdict().reason, Reason::StreamRefused);
                assert_eq!(error.progress(), Progress::Refused);
                refused += 1;
            }
            answer => assert_eq!(status(answer).await, 0),
        }
    }
    assert_eq!(refused, 1);
}

// CONTRACT C19
#[tokio::test]
async fn a_refusal_far_below_the_limit_says_nothing_of_it() {
    let script = Connection::new()
        .max_concurrent_streams(8)
        .streams([Stream::refuse()]);
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    assert!(call(&channel).await.is_err());
    assert_eq!(channel.snapshot().endpoints[0].connections[0].limit, 8);
}

// CONTRACT C8
#[tokio::test]
async fn more_connections_are_made_when_streams_are_used_up() {
    let gate = Gate::new();
    let script = Connection::new()
        .max_concurrent_streams(2)
        .other_streams(ok_after(&gate));
    let peer = Peer::always(script).await;
    let channel = connected(builder(&peer).max_connections(3)).await;
    let calls: Vec<_> = (0..8).map(|_| spawn(&channel)).collect();
    peer.wait_for_streams(6).await;
    assert_eq!((connections(&channel), peer.connections()), (3, 3));
    until(|| channel.snapshot().waiting == 2).await;
    gate.open();
    for call in calls {
        assert_eq!(status(call.await.unwrap()).await, 0);
    }
    assert_eq!(peer.connections(), 3);
}

// CONTRACT C8
#[tokio::test]
async fn a_second_connection_is_made_beyond_32_calls_and_the_first_is_filled_before_it() {
    let gate = Gate::new();
    let peer = Peer::always(Connection::new().other_streams(ok_after(&gate))).await;
    let channel = connected(builder(&peer).max_connections(4)).await;
    let mut calls: Vec<_> = (0..32).map(|_| spawn(&channel)).collect();
    peer.wait_for_streams(32).await;
    others_have_run().await;
    assert_eq!(peer.connections(), 1);
    calls.push(spawn(&channel));
    peer.wait_for_connections(2).await;
    until(|| connections(&channel) == 2).await;
    calls.extend((0..20).map(|_| spawn(&channel)));
    peer.wait_for_streams(53).await;
    let on = |it: usize| {
        peer.streams_seen()
            .iter()
            .filter(|stream| stream.connection == it)
            .count()
    };
    assert_eq!((on(0), on(1)), (33, 20));
    gate.open();
    for call in calls {
        assert_eq!(status(call.await.unwrap()).await, 0);
    }
    assert_eq!(peer.connections(), 2);
}
