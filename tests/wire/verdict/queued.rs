//! A connection, but no stream yet.

use grpc_resilience::BoxError;
use peer::crowd::{Crowd, without_a_slot};
use peer::{Connection, Gate, Headers, LastStream, Peer, Reason, Step, Stream};

use super::super::support::{call, channel, failed, failure};
use super::{LOST, QUEUED, verdict};

/// Three calls over a connection of one slot, which ends: one has the slot, one waits for it, one is
/// behind that in hyper's queue.
pub(super) async fn crowd(end: impl IntoIterator<Item = Step>) -> [BoxError; 3] {
    let gate = Gate::new();
    let slot = Stream::new().then(Step::Gate(gate.clone()));
    let mut crowd = Crowd::gather(end.into_iter().fold(slot, Stream::then)).await;
    gate.open();
    crowd.answers().await.map(failed)
}

/// The first call after a GOAWAY that lets an open stream finish.
pub(super) async fn after_goaway(last: LastStream, reason: Reason) -> BoxError {
    let open = Stream::from([
        Step::GoAway(last, reason),
        Step::Settle,
        Step::Headers(Headers::response()),
        Step::Stall,
    ]);
    let peer = Peer::start([Connection::new().streams([open])]).await;
    let channel = channel(&peer);
    let _open = call(&channel).await.unwrap();
    let error = failure(&channel).await;
    assert_eq!(peer.streams_seen().len(), 1);
    assert!(call(&channel).await.is_ok(), "the channel connects anew");
    error
}

/// The only call of a connection that never opens a slot, and ends.
pub(super) async fn no_slot() -> BoxError {
    failed(without_a_slot().await)
}

// FIELD 4, CONTRACT X1
#[tokio::test]
async fn a_call_in_hypers_queue_as_the_connection_ends_was_not_sent() {
    for end in [vec![Step::Close], vec![Step::Settle, Step::Abort]] {
        let [_, _, queued] = crowd(end).await;
        assert_eq!(verdict(&queued), QUEUED);
    }
}

// FIELD 4, CONTRACT H4: not sent, but no type proves it.
#[tokio::test]
async fn a_call_that_waits_for_a_slot_as_the_connection_ends_may_have_run() {
    for end in [vec![Step::Close], vec![Step::Settle, Step::Abort]] {
        let [running, waiting, _] = crowd(end).await;
        assert_eq!(verdict(&running), LOST);
        assert_eq!(verdict(&waiting), LOST);
    }
    assert_eq!(verdict(&no_slot().await), LOST);
}

// FIELD 4
#[tokio::test]
async fn as_goaway_arrives_the_queue_was_not_sent_and_who_waits_for_a_slot_may_have_run() {
    for reason in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let goaway = Step::GoAway(LastStream::This, reason);
        let [running, waiting, queued] = crowd([goaway, Step::Settle, Step::Close]).await;
        let verdicts = [&running, &waiting, &queued].map(verdict);
        assert_eq!(verdicts, [LOST, LOST, QUEUED]);
    }
}

// FIELD 4, CONTRACT X1
// Over tonic alone: ours gives no call to a connection with a GOAWAY.
#[tokio::test]
async fn the_first_call_after_a_graceful_goaway_was_not_sent() {
    for (last, reason) in [
        (LastStream::This, Reason::NO_ERROR),
        (LastStream::All, Reason::NO_ERROR),
        (LastStream::This, Reason::ENHANCE_YOUR_CALM),
    ] {
        assert_eq!(verdict(&after_goaway(last, reason).await), QUEUED);
    }
}
