//! What the server proved not to have processed: sent again once, at once; then it is the policy's.

use grpc_resilience::GiveUp;
use grpc_resilience::grpc::Code;
use peer::{Connection, Gate, Headers, LastStream, Peer, Reason, Step, Stream};

use super::super::support::{channel, others_have_run, request};
use super::{AT_ONCE, Client, Counts, declared, failed, is_backoff, numbers, policy, status_of};

async fn refusing(streams: impl IntoIterator<Item = Stream>) -> Peer {
    Peer::start([Connection::new().streams(streams)]).await
}

// CONTRACT X2, X3, I1, PEER-CASES JAVA-refused-once, JAVA-no-early-commit
#[transports::test(start_paused = true)]
async fn a_refused_call_goes_again_at_once_declared_or_not_and_counts_for_nothing() {
    let peer = refusing([Stream::refuse()]).await;
    let client = Client::new(channel(&peer), policy(1));
    assert_eq!(status_of(client.call().await).await, "0");
    assert_eq!(client.previous(), numbers([0, 0]));
    assert!(client.waits()[0] <= AT_ONCE, "{:?}", client.waits());
    assert_eq!(client.budget.counts(), Counts::default());
    assert_eq!(peer.connections(), 1);
}

// CONTRACT X2, R10, PEER-CASES JAVA-refused-once
#[transports::test(start_paused = true)]
async fn a_call_refused_twice_falls_to_the_policy() {
    let peer = refusing([Stream::refuse(), Stream::refuse()]).await;
    let client = Client::new(channel(&peer), policy(2));
    assert_eq!(status_of(client.call().await).await, "0");
    assert_eq!(client.previous(), numbers([0, 0, 1]));
    assert!(client.waits()[0] <= AT_ONCE && is_backoff(client.waits()[1]));
    let (failed, permits) = (1, 1);
    assert_eq!(client.budget.counts(), Counts { failed, permits });
}

// CONTRACT X2, R1
#[transports::test(start_paused = true)]
async fn a_call_refused_again_and_again_ends_after_the_policy_s_attempts() {
    // Not quite for ever, so that a client that spins does not spin for ever.
    let peer = refusing(vec![Stream::refuse(); 50]).await;
    let client = Client::new(channel(&peer), policy(3));
    let error = failed(client.call().await);
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(error.give_up(), Some(GiveUp::AttemptsExhausted));
    assert_eq!(error.attempts(), 3);
    assert_eq!(client.previous(), numbers([0, 0, 1, 2]));
}

// CONTRACT X5
#[transports::test(start_paused = true)]
async fn a_retry_that_is_refused_is_not_transparent_if_the_call_was_refused_before() {
    let unavailable = Stream::status(14, "later");
    let peer = refusing([Stream::refuse(), unavailable, Stream::refuse()]).await;
    let client = Client::new(channel(&peer), policy(4));
    assert_eq!(status_of(client.send(declared(request())).await).await, "0");
    assert_eq!(client.previous(), numbers([0, 0, 1, 2]));
    let waits = client.waits();
    assert!(waits[0] <= AT_ONCE, "{waits:?}");
    assert!(is_backoff(waits[1]) && is_backoff(waits[2]), "{waits:?}");
}

// CONTRACT X2, X3, R10
#[transports::test(start_paused = true)]
async fn a_retry_that_is_refused_first_goes_again_at_once_under_its_own_number() {
    let peer = refusing([Stream::status(14, "later"), Stream::refuse()]).await;
    let client = Client::new(channel(&peer), policy(2));
    assert_eq!(status_of(client.send(declared(request())).await).await, "0");
    assert_eq!(client.previous(), numbers([0, 1, 1]));
    let waits = client.waits();
    assert!(is_backoff(waits[0]) && waits[1] <= AT_ONCE, "{waits:?}");
}

// CONTRACT X2, PEER-CASES CORE-transparent-goaway
#[transports::test(start_paused = true)]
async fn a_call_above_a_goaway_goes_again_at_once_over_a_new_connection() {
    for reason in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let goaway = Step::GoAway(LastStream::Below, reason);
        let peer = refusing([Stream::from([Step::AwaitRequest, goaway])]).await;
        let client = Client::new(channel(&peer), policy(1));
        assert_eq!(status_of(client.call().await).await, "0");
        assert_eq!(client.previous(), numbers([0, 0]));
        assert!(client.waits()[0] <= AT_ONCE, "{:?}", client.waits());
        assert_eq!(peer.connections(), 2);
    }
}

// CONTRACT X2, PEER-CASES CORE-transparent-max-concurrent-streams
#[transports::test(start_paused = true)]
async fn a_call_over_the_servers_limit_of_streams_is_refused_and_goes_again_when_there_is_a_slot() {
    let gate = Gate::new();
    let holds = Stream::from([
        Step::Gate(gate.clone()),
        Step::Headers(Headers::trailers_only(0)),
    ]);
    let over = Stream::from([
        Step::AwaitRequest,
        Step::MaxConcurrentStreams(1),
        Step::Reset(Reason::REFUSED_STREAM),
    ]);
    let peer = refusing([holds, over]).await;
    let client = Client::new(channel(&peer), policy(1));
    let first = tokio::spawn({
        let client = client.apart();
        async move { status_of(client.call().await).await }
    });
    peer.wait_for_streams(1).await;
    let second = tokio::spawn({
        let client = client.clone();
        async move { status_of(client.call().await).await }
    });
    while client.sent().len() < 2 {
        tokio::task::yield_now().await;
    }
    others_have_run().await;
    assert_eq!(peer.streams_seen().len(), 2, "the second one waits");
    gate.open();
    assert_eq!(
        (first.await.unwrap(), second.await.unwrap()),
        ("0".into(), "0".into())
    );
    assert_eq!(client.previous(), numbers([0, 0]));
    assert_eq!(peer.connections(), 1);
}
