//! What never left the client: sent again whatever the policy, but not for ever.

use std::time::Duration;

use grpc_resilience::GiveUp;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::classify::{Progress, Reason};
use grpc_resilience::grpc::Code;
use peer::{Connection, DeadPort, Gate, Headers, LastStream, Peer, Step, Stream};
use tokio::time::Instant;
use transports::Transport;

use super::super::support::{channel, connected, endpoint, others_have_run, request};
use super::{Client, Counts, declared, failed, is_backoff, numbers, policy, status_of};
use peer::connector::late;

/// X1's bound, and the first sending.
const SENDINGS: usize = 9;

/// Says HTTP/1 before it was asked, and closes.
fn http1() -> Connection {
    Connection::silent()
        .then(Step::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n"[..].into()))
        .then(Step::Close)
}

// CONTRACT X1, FIELD 4 "peer speaks HTTP/1"
#[tokio::test(start_paused = true)]
async fn a_call_to_an_http1_peer_that_never_leaves_the_client_ends_bounded_and_backed_off() {
    // Not for ever, so that a client that spins does not spin for ever; as below.
    let peer = Peer::start(vec![http1(); 50]).await;
    let client = Client::new(late(&endpoint(peer.uri())), policy(4));
    let start = Instant::now();
    let error = failed(client.call().await);
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(error.verdict().reason, Reason::Queued);
    assert_eq!(error.give_up(), Some(GiveUp::AttemptsExhausted));
    assert_eq!(peer.connections(), SENDINGS + 3);
    assert!(peer.streams_seen().is_empty());

    let waits = client.waits();
    let (transparent, policys) = waits.split_at(SENDINGS - 1);
    let half_of = [2, 5, 10, 20, 40, 80, 160, 250].map(Duration::from_millis);
    let backed_off = transparent
        .iter()
        .zip(half_of)
        .all(|(wait, half)| *wait >= half);
    assert!(backed_off, "{waits:?}");
    assert!(policys.iter().copied().all(is_backoff), "{waits:?}");
    assert!(start.elapsed() < Duration::from_secs(6));
}

// CONTRACT X1, I1, FIELD 4 "peer speaks HTTP/1"
#[transports::test(start_paused = true)]
async fn a_call_to_an_http1_peer_that_answers_the_preface_ends_bounded() {
    for connection in [Connection::http1(), Connection::closed()] {
        let peer = Peer::start(vec![connection; 50]).await;
        let client = Client::new(channel(&peer), policy(4));
        let start = Instant::now();
        let error = failed(client.call().await);
        assert_eq!(error.code(), Code::Unavailable);
        assert!(peer.connections() <= SENDINGS + 4);
        assert!(start.elapsed() < Duration::from_secs(6));
        // As soon as one may have been read by somebody, no other follows.
        let may_have_run = |progress| progress == Some(Progress::Reached);
        let sent = client.sent();
        let (last, others) = sent.split_last().unwrap();
        assert!(others.iter().all(|sent| !may_have_run(sent.failed)));
        let gave_up = if may_have_run(last.failed) {
            GiveUp::NotIdempotent
        } else {
            GiveUp::AttemptsExhausted
        };
        assert_eq!(error.give_up(), Some(gave_up));
    }
}

// CONTRACT X1, X3, PEER-CASES JAVA-miscarried, CORE-not-sent-on-wire
#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_sent_goes_again_beyond_the_attempts_of_the_policy() {
    let peer = Peer::start((1..SENDINGS).map(|_| http1())).await;
    let client = Client::new(late(&endpoint(peer.uri())), policy(1));
    assert_eq!(status_of(client.call().await).await, "0");
    assert_eq!(client.previous(), numbers([0; SENDINGS]));
    assert_eq!(client.budget.counts(), Counts::default());
    assert_eq!(peer.streams_seen().len(), 1);
}

// CONTRACT R12, X1
#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_to_be_retried_is_not_sent_again_even_if_it_was_not_sent() {
    let peer = Peer::always(http1()).await;
    let client = Client::new(late(&endpoint(peer.uri())), policy(4));
    let mut request = request();
    request.call_options().never_retry();
    let error = failed(client.send(request).await);
    assert_eq!(error.verdict().progress, Progress::NotSent);
    assert_eq!(peer.connections(), 1);
}

// CONTRACT X1: a failed connect is a failed pick.
#[tokio::test(start_paused = true)]
async fn a_failed_connect_is_the_policy_s_and_needs_no_declaration() {
    let port = DeadPort::new();
    let client = Client::new(endpoint(port.uri()).connect_lazy(), policy(3));
    let error = failed(client.call().await);
    assert_eq!(error.verdict().reason, Reason::ConnectFailed);
    assert_eq!(error.give_up(), Some(GiveUp::AttemptsExhausted));
    assert_eq!(client.previous(), numbers([0, 1, 2]));
    assert!(client.waits().into_iter().all(is_backoff));
    let (failed, permits) = (3, 2);
    assert_eq!(client.budget.counts(), Counts { failed, permits });
}

// CONTRACT X1, FIELD 4 "first call after a graceful GOAWAY with a stream open"
#[transports::test(start_paused = true)]
async fn the_first_call_after_a_graceful_goaway_succeeds() {
    let open = Stream::from([
        Step::GoAway(LastStream::This, peer::Reason::NO_ERROR),
        Step::Settle,
        Step::Headers(Headers::response()),
        Step::Stall,
    ]);
    let peer = Peer::start([Connection::new().streams([open])]).await;
    let client = Client::new(channel(&peer), policy(1));
    let _open = client.call().await.unwrap();
    let second = client.apart();
    assert_eq!(status_of(second.call().await).await, "0");
    // Ours gives no call to a connection that has received a GOAWAY.
    let sendings = if Transport::current().is_ours() { 1 } else { 2 };
    assert_eq!(second.sent().len(), sendings);
    assert!(second.previous().iter().all(Option::is_none));
    assert_eq!((peer.connections(), peer.streams_seen().len()), (2, 2));
}

// CONTRACT I2, FIELD 4 "waiting for a stream slot as the connection dies"
#[transports::test(start_paused = true)]
async fn a_call_that_waited_for_a_slot_goes_again_only_if_declared() {
    // Over ours the channel has the waiting call, and takes it to the next connection.
    let is_kept = Transport::current().is_ours();
    let sendings_of = |is_declared: bool| if is_kept || !is_declared { 1 } else { 2 };
    for is_declared in [false, true] {
        let sendings = sendings_of(is_declared);
        let gate = Gate::new();
        let dies = Connection::new()
            .max_concurrent_streams(0)
            .then(Step::Gate(gate.clone()))
            .then(Step::Close);
        let peer = Peer::start([dies]).await;
        let channel = connected(&peer).await;
        peer.settings_acknowledged(0).await;
        let client = Client::new(channel, policy(2));
        let waiting = tokio::spawn({
            let client = client.clone();
            let request = if is_declared {
                declared(request())
            } else {
                request()
            };
            async move { client.send(request).await }
        });
        others_have_run().await;
        gate.open();
        let answer = waiting.await.unwrap();
        assert_eq!(client.sent().len(), sendings);
        if is_kept || is_declared {
            assert_eq!(status_of(answer).await, "0");
        } else {
            assert_eq!(failed(answer).give_up(), Some(GiveUp::NotIdempotent));
        }
    }
}
