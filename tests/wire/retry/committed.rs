//! After the head of a response nothing is sent again.

use grpc_resilience::GiveUp;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::classify::Progress;
use grpc_resilience::grpc::{Code, MethodKind};
use http_body_util::BodyExt as _;
use peer::{Connection, Headers, LastStream, Peer, Reason, Step, Stream};

use super::super::support::{channel, request};
use super::{Client, declared, policy};

/// A head, and then this.
async fn headers_then(end: Step) -> Peer {
    let stream = Stream::from([
        Step::AwaitRequest,
        Step::Headers(Headers::response()),
        Step::Settle,
        end,
    ]);
    Peer::start([Connection::new().streams([stream])]).await
}

/// What proves, before a head, that nothing was processed.
fn proofs() -> [Step; 2] {
    [
        Step::Reset(Reason::REFUSED_STREAM),
        Step::GoAway(LastStream::Below, Reason::PROTOCOL_ERROR),
    ]
}

// CONTRACT X4, R6, PEER-CASES GO-transparent-committed, CORE-recv-initial-metadata
#[transports::test(start_paused = true)]
async fn what_is_refused_after_the_head_is_not_sent_again_even_if_declared() {
    for proof in proofs() {
        let peer = headers_then(proof).await;
        let client = Client::new(channel(&peer), policy(4));
        let answer = client.send(declared(request())).await.unwrap();
        let error = answer.into_body().collect().await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
        assert_eq!(error.verdict().progress, Progress::Reached);
        assert_eq!(error.give_up(), Some(GiveUp::Committed));
        assert_eq!(client.sent().len(), 1);
    }
}

// CONTRACT R6, X4, I4: the head of a unary answer is held, and commits the call all the same
#[transports::test(start_paused = true)]
async fn a_held_head_whose_body_breaks_goes_up_and_nothing_is_sent_again_declared_or_not() {
    for proof in proofs() {
        for is_declared in [true, false] {
            let peer = headers_then(proof.clone()).await;
            let client = Client::new(channel(&peer), policy(4));
            let mut request = request();
            request.call_options().kind(MethodKind::Unary);
            if is_declared {
                request.call_options().idempotent();
            }
            let answer = client.send(request).await.unwrap();
            let error = answer.into_body().collect().await.unwrap_err();
            assert_eq!(error.code(), Code::Unavailable);
            assert_eq!(error.verdict().progress, Progress::Reached);
            assert_eq!(error.give_up(), Some(GiveUp::Committed));
            assert_eq!(client.sent().len(), 1);
        }
    }
}
