//! A connection, but no stream yet.

use peer::{Connection, Gate, Headers, LastStream, Peer, Reason, Step, Stream};

use crate::support::{failure, outcome};
use crate::{CANCELED, DISPATCH_GONE, FIN, RST};
use peer::client::{call, channel};
use peer::crowd::{Crowd, without_a_slot};

/// The chains of the three calls, after which the channel connects anew.
async fn failures(mut crowd: Crowd) -> [String; 3] {
    let chains = crowd.answers().await.map(failure);
    assert!(call(&crowd.channel).await.is_ok());
    chains
}

#[tokio::test]
async fn as_the_connection_closes_the_call_that_waits_for_a_slot_is_a_user_error_and_those_behind_it_are_canceled()
 {
    let gate = Gate::new();
    let crowd = Crowd::gather(Stream::from([Step::Gate(gate.clone()), Step::Close])).await;
    gate.open();
    assert_eq!(failures(crowd).await, [FIN, DISPATCH_GONE, CANCELED]);
}

#[tokio::test]
async fn as_the_connection_is_reset_the_call_that_waits_for_a_slot_is_a_user_error_and_those_behind_it_are_canceled()
 {
    let gate = Gate::new();
    let crowd = Crowd::gather(Stream::from([
        Step::Gate(gate.clone()),
        Step::Settle,
        Step::Abort,
    ]))
    .await;
    gate.open();
    assert_eq!(failures(crowd).await, [RST, DISPATCH_GONE, CANCELED]);
}

#[tokio::test]
async fn as_goaway_arrives_the_call_that_waits_for_a_slot_is_a_user_error_and_those_behind_it_are_canceled()
 {
    for reason in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let (gate, end) = (Gate::new(), Gate::new());
        let slot = Stream::from([
            Step::Gate(gate.clone()),
            Step::GoAway(LastStream::This, reason),
            Step::Gate(end.clone()),
            Step::Close,
        ]);
        let mut crowd = Crowd::gather(slot).await;
        gate.open();
        assert_eq!(failure((&mut crowd.waiting).await.unwrap()), DISPATCH_GONE);
        assert_eq!(failure((&mut crowd.queued).await.unwrap()), CANCELED);
        assert!(
            !crowd.running.is_finished(),
            "the stream that has the slot goes on"
        );
        end.open();
        assert_eq!(failure(crowd.running.await.unwrap()), FIN);
    }
}

#[tokio::test]
async fn a_call_that_never_gets_a_slot_is_a_user_error_when_the_connection_ends() {
    assert_eq!(failure(without_a_slot().await), DISPATCH_GONE);
}

#[tokio::test]
async fn the_first_call_after_a_goaway_with_a_stream_open_is_canceled_and_the_next_one_connects_anew()
 {
    let goaways = [
        (LastStream::This, Reason::NO_ERROR),
        (LastStream::All, Reason::NO_ERROR),
        (LastStream::This, Reason::ENHANCE_YOUR_CALM),
    ];
    for (last, reason) in goaways {
        let gate = Gate::new();
        let open = Stream::from([
            Step::GoAway(last, reason),
            Step::Settle,
            Step::Headers(Headers::response()),
            Step::Gate(gate.clone()),
            Step::Headers(Headers::trailers(0)),
        ]);
        let peer = Peer::start([Connection::new().streams([open])]).await;
        let channel = channel(&peer);
        let body = call(&channel).await.unwrap().into_body();

        assert_eq!(failure(call(&channel).await), CANCELED);
        assert_eq!(peer.streams_seen().len(), 1);
        assert!(call(&channel).await.is_ok());
        assert_eq!(peer.connections(), 2);

        gate.open();
        assert_eq!(
            outcome(body).await,
            (vec![], "grpc-status 0".to_owned()),
            "the open stream ends well"
        );
    }
}

#[tokio::test]
async fn after_a_goaway_with_no_stream_open_no_call_fails() {
    let peer =
        Peer::start([Connection::new().goaway_after(1, LastStream::This, Reason::NO_ERROR)]).await;
    let channel = channel(&peer);
    let first = call(&channel).await.unwrap();
    assert_eq!(outcome(first.into_body()).await.1, "grpc-status 0");
    peer.wait_for_closed(1).await;
    assert!(call(&channel).await.is_ok());
    assert_eq!(peer.connections(), 2);
}
