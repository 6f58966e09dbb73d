//! A stream that is reset with CANCEL a little before the deadline (CONTRACT D11, H3).

use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::classify::Reason;
use grpc_resilience::grpc::Code;
use grpc_resilience::{GiveUp, Resilience};
use peer::{Reason as H2Reason, Step, Stream};

use super::super::support::{channel, request};
use super::{SECOND, call, declared, policy, then};

/// It is read, and reset with this, late in the time of a second.
fn reset() -> Stream {
    Stream::new()
        .then(Step::AwaitRequest)
        .then(Step::Wait(SECOND.mul_f64(0.965)))
        .then(Step::Reset(H2Reason::CANCEL))
}

// Whether the reset or the timer of this side comes first, it is the same end.
#[transports::test]
async fn is_the_deadline() {
    for request in [request, declared] {
        let peer = then([reset(), reset()]).await;
        let stack = Resilience::new().default_timeout(SECOND).retry(policy());
        let failed = call(&stack.wrap(channel(&peer)), request()).await;
        let error = failed.map(drop).unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
        assert_eq!(error.give_up(), Some(GiveUp::Deadline), "{error}");
        assert_eq!(error.verdict().reason, Reason::DeadlineExceeded);
        assert_eq!(peer.streams_seen().len(), 2);
    }
}

#[transports::test]
async fn is_the_end_of_its_attempt() {
    let peer = then([reset(), Stream::ok(b"")]).await;
    let stack = Resilience::new()
        .default_timeout(20 * SECOND)
        .attempt_timeout(AttemptTimeoutLayer::new(SECOND).unwrap())
        .retry(policy());
    let answer = call(&stack.wrap(channel(&peer)), declared()).await;
    assert!(answer.is_ok());
    assert_eq!(peer.streams_seen().len(), 3);
}
