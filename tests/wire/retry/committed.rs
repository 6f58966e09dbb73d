//! After the head of a response nothing is sent again.

use grpc_resilience::GiveUp;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::classify::Progress;
use grpc_resilience::grpc::{Code, MethodKind};
use http_body_util::BodyExt as _;
use peer::{Connection, Headers, LastStream, Peer, Reason, Step, Stream};

use super::super::common::{channel, request};
use super::{Client, declared, failed, policy};

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
#[tokio::test(start_paused = true)]
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

// CONTRACT X4, I4
#[tokio::test(start_paused = true)]
async fn an_undeclared_unary_call_that_is_refused_after_the_head_is_not_sent_again() {
    for proof in proofs() {
        let peer = headers_then(proof).await;
        let client = Client::new(channel(&peer), policy(4));
        let mut request = request();
        request.call_options().kind(MethodKind::Unary);
        // The head of a unary answer is held, so that the failure comes before it.
        let error = failed(client.send(request).await);
        assert_eq!(error.verdict().progress, Progress::Reached);
        assert_eq!(error.give_up(), Some(GiveUp::NotIdempotent));
        assert_eq!(client.sent().len(), 1);
    }
}
