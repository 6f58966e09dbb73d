//! A graceful GOAWAY: the call goes again, eight times at most; then it is the policy's.

use std::time::Duration;

use grpc_resilience::grpc::Code;
use peer::{Connection, LastStream, Peer, Reason, Step, Stream};

use transports::Transport;

use super::super::support::channel;
use super::{AT_ONCE, BACKOFF, Client, Counts, failed, is_backoff, ms, numbers, policy, status_of};

/// Connections that go away with these codes before they process a stream; then good ones.
async fn going_away(reasons: impl IntoIterator<Item = Reason>) -> Peer {
    Peer::start(reasons.into_iter().map(|reason| {
        let goaway = Step::GoAway(LastStream::Below, reason);
        Connection::new().streams([Stream::from([Step::AwaitRequest, goaway])])
    }))
    .await
}

// CONTRACT X2, X3, R10
#[transports::test(start_paused = true)]
async fn a_call_goes_again_after_eight_graceful_goaways_and_then_as_an_attempt() {
    let peer = going_away([Reason::NO_ERROR; 9]).await;
    let client = Client::new(channel(&peer), policy(2));
    assert_eq!(status_of(client.call().await).await, "0");
    assert_eq!(client.previous(), numbers([0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
    let (failed, permits) = (1, 1);
    assert_eq!(client.budget.counts(), Counts { failed, permits });
    let waits = client.waits();
    if Transport::current().is_ours() {
        // No connection has served a call, so the channel waits between its dials, too (C3).
        assert!(waits[0] <= AT_ONCE && waits[8] >= BACKOFF, "{waits:?}");
        return;
    }
    assert!(waits[..2].iter().all(|wait| *wait <= AT_ONCE), "{waits:?}");
    // Full jitter from 5 ms, doubling.
    for (wait, most) in waits[2..8].iter().zip([5, 10, 20, 40, 80, 160]) {
        assert!(*wait <= ms(most) + AT_ONCE, "{waits:?}");
    }
    let backed_off: Duration = waits[2..8].iter().sum();
    assert!(backed_off > ms(2), "not at once, all in all: {waits:?}");
    assert!(is_backoff(waits[8]), "{waits:?}");
}

// CONTRACT X2
#[transports::test(start_paused = true)]
async fn the_ninth_graceful_goaway_is_an_attempt_that_is_unavailable() {
    let peer = going_away([Reason::NO_ERROR; 9]).await;
    let client = Client::new(channel(&peer), policy(1));
    let error = failed(client.call().await);
    assert_eq!((error.code(), error.attempts()), (Code::Unavailable, 1));
    assert_eq!(client.sent().len(), 9);
}

// CONTRACT X2, X5
// Over tonic alone: ours waits between dials whose connections serve no call (C3).
#[tokio::test(start_paused = true)]
async fn any_other_goaway_is_answered_once_with_the_refused_streams() {
    let refused = Connection::new().streams([Stream::refuse()]);
    let goaway = Step::GoAway(LastStream::Below, Reason::ENHANCE_YOUR_CALM);
    let goaway = Connection::new().streams([Stream::from([Step::AwaitRequest, goaway])]);
    for [first, second] in [[goaway.clone(), goaway.clone()], [goaway, refused]] {
        let peer = Peer::start([first, second]).await;
        let client = Client::new(channel(&peer), policy(2));
        assert_eq!(status_of(client.call().await).await, "0");
        assert_eq!(client.previous(), numbers([0, 0, 1]));
        let waits = client.waits();
        assert!(waits[0] <= AT_ONCE && is_backoff(waits[1]), "{waits:?}");
    }
}

// CONTRACT X2, X5
// Over tonic alone: ours waits between dials whose connections serve no call (C3).
#[tokio::test(start_paused = true)]
async fn graceful_goaways_leave_a_refused_stream_its_own_repetition() {
    let reasons = [Reason::NO_ERROR, Reason::NO_ERROR, Reason::INTERNAL_ERROR];
    let peer = going_away(reasons).await;
    let client = Client::new(channel(&peer), policy(1));
    assert_eq!(status_of(client.call().await).await, "0");
    assert_eq!(client.previous(), numbers([0, 0, 0, 0]));
    assert_eq!(client.budget.counts(), Counts::default());
}
