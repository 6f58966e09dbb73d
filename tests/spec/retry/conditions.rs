//! Failures that are retried, or not, by what they say beyond their code (CONTRACT R3).

use grpc_resilience::budget::BudgetLayer;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::grpc;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::{GiveUp, Resilience, TokenBucket};
use test_protos::EchoRequest;
use testing::{Answer, Server, grpc_frame, method};
use tonic::{Code, Request, Status};
use tower::ServiceBuilder;

use crate::support::{client, declared, ms, policy, retrying, undeclared, waits};

const DROPPED: &str = "etcdserver: raft proposal dropped";

fn is_dropped(status: &grpc::Status) -> bool {
    status.code() == grpc::Code::Unknown && status.message().contains("raft proposal dropped")
}

fn etcd() -> RetryPolicy {
    policy().retry_if(is_dropped)
}

async fn answered_with(
    answer: Answer,
    policy: RetryPolicy,
    request: Request<EchoRequest>,
) -> (usize, Status) {
    let server = Server::in_memory();
    server.script().always(method::UNARY, answer);
    let call = retrying(&server, policy).unary(request).await;
    (server.count(), call.unwrap_err())
}

#[transports::test(start_paused = true)]
async fn a_failure_that_the_predicate_names_is_retried_like_one_of_the_codes() {
    let server = Server::in_memory();
    let dropped = Answer::status(Code::Unknown, DROPPED);
    server
        .script()
        .on(method::UNARY, [dropped.clone(), dropped]);
    retrying(&server, etcd()).unary(declared()).await.unwrap();
    assert_eq!(waits(&server.calls()), [10, 10]);
    for (code, message, attempts) in [
        (Code::Unknown, DROPPED, 4),
        (Code::Unknown, "etcdserver: something else", 1),
        (Code::Internal, DROPPED, 1),
        (Code::Unavailable, "any", 4),
    ] {
        let (sent, status) = answered_with(Answer::status(code, message), etcd(), declared()).await;
        assert_eq!(sent, attempts, "{code} {message}");
        let expected = match attempts {
            1 => GiveUp::CodeNotRetryable,
            _ => GiveUp::AttemptsExhausted,
        };
        assert_eq!(GiveUp::find(&status), Some(expected));
    }
}

// CONTRACT I2
#[transports::test(start_paused = true)]
async fn an_undeclared_call_is_not_repeated_by_it() {
    let answer = Answer::status(Code::Unknown, DROPPED);
    let (sent, status) = answered_with(answer, etcd(), undeclared()).await;
    assert_eq!(
        (sent, GiveUp::find(&status)),
        (1, Some(GiveUp::NotIdempotent))
    );
}

#[transports::test(start_paused = true)]
async fn details_and_metadata_can_be_asked_about() {
    let by_details = || policy().retry_if(|status| status.details().ends_with(b"TRY_AGAIN"));
    let by_metadata = || policy().retry_if(|status| status.metadata().contains_key("x-again"));
    let aborted = || Answer::status(Code::Aborted, "conflict");
    for (answer, policy, attempts) in [
        (aborted().details(b"..TRY_AGAIN"), by_details(), 4),
        (aborted().details(b"..NEVER"), by_details(), 1),
        (aborted(), by_details(), 1),
        (aborted().metadata("x-again", "yes"), by_metadata(), 4),
        (aborted(), by_metadata(), 1),
    ] {
        let (sent, _) = answered_with(answer, policy, declared()).await;
        assert_eq!(sent, attempts);
    }
}

#[transports::test(start_paused = true)]
async fn several_predicates_add_up_and_a_veto_beats_them_and_the_codes() {
    let policy = || {
        etcd()
            .retry_if(|status| status.code() == grpc::Code::Aborted)
            .never_if(|status| status.message().contains("corrupt"))
            .never_if(|status| status.message().contains("for good"))
    };
    for (code, message, attempts) in [
        (Code::Unknown, DROPPED, 4),
        (Code::Aborted, "conflict", 4),
        (Code::Unavailable, "down", 4),
        (Code::Unavailable, "etcdserver: corrupt cluster", 1),
        (Code::Unavailable, "down for good", 1),
        (Code::Aborted, "corrupt", 1),
    ] {
        let (sent, _) = answered_with(Answer::status(code, message), policy(), declared()).await;
        assert_eq!(sent, attempts, "{code} {message}");
    }
}

// CONTRACT R15, R16
#[transports::test(start_paused = true)]
async fn what_cannot_be_cured_is_not_retried_whatever_a_predicate_says() {
    let all = || policy().retry_if(|_| true);
    let too_large = Answer::status(Code::ResourceExhausted, "message too large 9 > 8");
    let no_code = Answer::status(Code::Unknown, "x").metadata("grpc-status", "99");
    let internal = Answer::status(Code::Internal, "x");
    for (answer, attempts) in [(too_large, 1), (no_code, 1), (internal, 4)] {
        let (sent, _) = answered_with(answer, all(), declared()).await;
        assert_eq!(sent, attempts);
    }
}

// CONTRACT P3, R1
#[transports::test(start_paused = true)]
async fn the_server_s_no_and_the_caller_s_wishes_bind_it() {
    let dropped = || Answer::status(Code::Unknown, DROPPED);
    let (sent, status) = answered_with(dropped().pushback("-1"), etcd(), declared()).await;
    assert_eq!(
        (sent, GiveUp::find(&status)),
        (1, Some(GiveUp::PushbackStop))
    );

    let mut twice = declared();
    twice.call_options().max_attempts(2);
    assert_eq!(answered_with(dropped(), etcd(), twice).await.0, 2);

    let mut only = declared();
    only.call_options().retry_only_on([Code::Unavailable]);
    assert_eq!(answered_with(dropped(), etcd(), only).await.0, 1);

    let mut named = declared();
    named.call_options().retry_only_on([Code::Unknown]);
    assert_eq!(answered_with(dropped(), policy(), named).await.0, 4);
}

// CONTRACT P2
#[transports::test(start_paused = true)]
async fn a_hint_on_such_a_failure_is_obeyed() {
    let server = Server::in_memory();
    let dropped = Answer::status(Code::Unknown, DROPPED).pushback("70");
    server.script().on(method::UNARY, [dropped]);
    retrying(&server, etcd()).unary(declared()).await.unwrap();
    assert_eq!(waits(&server.calls()), [70]);
}

#[transports::test(start_paused = true)]
async fn it_is_asked_about_trailers_of_a_method_that_answers_once_and_in_the_whole_stack() {
    let server = Server::in_memory();
    let trailers = Answer::status_in_trailers(Code::Unknown, DROPPED);
    server.script().on(method::UNARY, [trailers.clone()]);
    let mut request = declared();
    request.call_options().kind(MethodKind::Unary);
    retrying(&server, etcd()).unary(request).await.unwrap();
    assert_eq!(server.count(), 2);

    server.script().on(method::UNARY, [trailers]);
    let stack = Resilience::new()
        .idempotent(method::UNARY)
        .unwrap()
        .unary(method::UNARY)
        .unwrap()
        .retry(etcd())
        .wrap(server.channel());
    client(stack).unary(undeclared()).await.unwrap();
    assert_eq!(server.count(), 4);
}

// CONTRACT T2: also where it is final, and after the answer began
#[transports::test(start_paused = true)]
async fn such_a_failure_takes_a_token_each_time() {
    let head_first = || {
        let frame = grpc_frame(&EchoRequest::default());
        Answer::status_after_message(Code::Unknown, DROPPED, frame)
    };
    let dropped = || Answer::status(Code::Unknown, DROPPED);
    let vetoed = || etcd().never_if(is_dropped);
    for (answer, policy, tokens) in [
        (dropped(), etcd(), 296.0),
        (dropped(), etcd().max_attempts(1).unwrap(), 299.0),
        (dropped(), vetoed(), 300.0),
        (dropped(), crate::support::policy(), 300.0),
        (head_first(), etcd(), 299.0),
        (head_first(), vetoed(), 300.0),
    ] {
        let server = Server::in_memory();
        server.script().always(method::UNARY, answer);
        let budget = BudgetLayer::new(TokenBucket::default());
        let layered = ServiceBuilder::new()
            .layer(budget.clone())
            .layer(RetryLayer::new(
                policy.backoff(crate::support::every(ms(1))),
            ))
            .service(server.channel());
        client(layered).unary(declared()).await.unwrap_err();
        assert_eq!(budget.snapshots()[0].1.tokens(), Some(tokens));
    }
}
