//! The server's word that a request had no effect (CONTRACT I7).

mod hops;
mod raft;
mod stripped;
mod written;

use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::budget::BudgetLayer;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::classify::{Progress, Reason};
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{GiveUp, Resilience, TokenBucket};
use test_protos::EchoRequest;
use testing::{Answer, Server, method};
use tonic::{Code, Request, Status};
use tower::layer::util::Identity;
use tower::{Layer as _, ServiceBuilder};

use crate::support::{
    Stack, client, declared, every, ms, ours, policy, previous_attempts, undeclared, waits,
};

const WORD: &str = "grpc-resilience-unprocessed";

fn trusting(policy: RetryPolicy) -> RetryLayer {
    RetryLayer::new(policy).trust_unprocessed()
}

/// UNAVAILABLE, with this word.
fn vouching(path: &str) -> Answer {
    Answer::status(Code::Unavailable, "not now").metadata(WORD, path)
}

/// How often a call is sent to a server that always answers so, and how it ends.
async fn answered_with(
    answer: Answer,
    layer: RetryLayer,
    request: Request<EchoRequest>,
) -> (usize, Status) {
    let server = Server::in_memory();
    server.script().always(method::UNARY, answer);
    let layered = layer.layer(server.channel());
    let status = client(layered).unary(request).await.unwrap_err();
    (server.count(), status)
}

// CONTRACT I7, R10, T2
#[transports::test(start_paused = true)]
async fn an_undeclared_call_goes_again_as_an_attempt_with_backoff_and_budget() {
    let server = Server::in_memory();
    let refusal = vouching(method::UNARY);
    server
        .script()
        .on(method::UNARY, [refusal.clone(), refusal]);
    let budget = BudgetLayer::new(TokenBucket::default());
    let layered = ServiceBuilder::new()
        .layer(budget.clone())
        .layer(trusting(policy()))
        .service(server.channel());
    client(layered).unary(undeclared()).await.unwrap();
    let calls = server.calls();
    assert_eq!(previous_attempts(&calls), [None, Some("1"), Some("2")]);
    assert_eq!(waits(&calls), [10, 10]);
    let tokens = budget.snapshots()[0].1.tokens();
    assert_eq!(
        tokens,
        Some(298.2),
        "each retry took one, the success paid in"
    );
}

// CONTRACT I7
// Over tonic alone: ours believes the server without a setting (I7).
#[tokio::test(start_paused = true)]
async fn nobody_is_believed_by_default() {
    let (sent, status) = answered_with(
        vouching(method::UNARY),
        RetryLayer::new(policy()),
        undeclared(),
    )
    .await;
    assert_eq!(
        (sent, GiveUp::find(&status)),
        (1, Some(GiveUp::NotIdempotent))
    );
    assert_eq!(ours(&status)[0].verdict().progress, Progress::Answered);
}

// CONTRACT I7
#[transports::test(start_paused = true)]
async fn a_word_for_another_path_or_said_twice_is_ignored() {
    let twice = vouching(method::UNARY).metadata(WORD, method::UNARY);
    for answer in [
        twice,
        vouching(method::UNARY_IDEMPOTENT),
        vouching("/test.v1.Echo/Unary2"),
        vouching("Unary"),
        vouching("true"),
        vouching(""),
    ] {
        let (sent, status) = answered_with(answer, trusting(policy()), undeclared()).await;
        assert_eq!(
            (sent, GiveUp::find(&status)),
            (1, Some(GiveUp::NotIdempotent))
        );
    }
}

// CONTRACT I7
#[transports::test(start_paused = true)]
async fn the_policy_has_to_retry_the_code() {
    let internal = || Answer::status(Code::Internal, "no").metadata(WORD, method::UNARY);
    let (sent, status) = answered_with(internal(), trusting(policy()), undeclared()).await;
    assert_eq!(
        (sent, GiveUp::find(&status)),
        (1, Some(GiveUp::CodeNotRetryable))
    );
    assert_eq!(ours(&status)[0].verdict().progress, Progress::Unprocessed);
    let policy = policy().retry_on(Code::Internal);
    assert_eq!(
        answered_with(internal(), trusting(policy), undeclared())
            .await
            .0,
        4
    );
}

// CONTRACT I7, P3, R1, T4: never transparently, so never for nothing
#[transports::test(start_paused = true)]
async fn attempts_the_budget_and_the_server_s_no_bound_it() {
    let refusal = || vouching(method::UNARY);
    let (sent, status) = answered_with(refusal(), trusting(policy()), undeclared()).await;
    assert_eq!(
        (sent, GiveUp::find(&status)),
        (4, Some(GiveUp::AttemptsExhausted))
    );
    let no = refusal().pushback("-1");
    let (sent, status) = answered_with(no, trusting(policy()), undeclared()).await;
    assert_eq!(
        (sent, GiveUp::find(&status)),
        (1, Some(GiveUp::PushbackStop))
    );
    let mut never = undeclared();
    never.call_options().never_retry();
    assert_eq!(
        answered_with(refusal(), trusting(policy()), never).await.0,
        1
    );

    let server = Server::in_memory();
    server.script().always(method::UNARY, refusal());
    let small = TokenBucket::new(2, 0.1).unwrap();
    let layered = ServiceBuilder::new()
        .layer(BudgetLayer::new(small))
        .layer(trusting(policy()))
        .service(server.channel());
    let status = client(layered).unary(undeclared()).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::BudgetExhausted));
    assert_eq!(server.count(), 1);
}

// CONTRACT I7, P2
#[transports::test(start_paused = true)]
async fn the_hint_beside_it_is_obeyed() {
    let server = Server::in_memory();
    server
        .script()
        .on(method::UNARY, [vouching(method::UNARY).pushback("70")]);
    let layered = trusting(policy()).layer(server.channel());
    client(layered).unary(undeclared()).await.unwrap();
    assert_eq!(waits(&server.calls()), [70]);
}

// CONTRACT I7: after a head the handler had begun to answer
#[transports::test(start_paused = true)]
async fn only_a_trailers_only_failure_counts() {
    for (answer, code) in [
        (
            Answer::status_in_trailers(Code::Unavailable, "x"),
            Code::Unavailable,
        ),
        (
            Answer::status_in_trailers(Code::Unavailable, "x").header_raw(WORD, method::UNARY),
            Code::Unavailable,
        ),
    ] {
        let mut request = undeclared();
        request.call_options().kind(MethodKind::Unary);
        let answer = answer.metadata(WORD, method::UNARY);
        let (sent, status) = answered_with(answer, trusting(policy()), request).await;
        assert_eq!((sent, status.code()), (1, code));
        assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
        assert!(!status.metadata().contains_key(WORD));
    }
}

async fn goes_again<S: Stack>(name: &str, server: &Server, stack: S) {
    let mut client = client(stack);
    // The second call may be an ordinary one.
    for _ in 0..2 {
        server.clear();
        server.script().on(method::UNARY, [vouching(method::UNARY)]);
        client.unary(undeclared()).await.unwrap();
        assert_eq!(server.count(), 2, "{name}");
    }
}

// CONTRACT I7: whatever layers of ours stand between
#[transports::test(start_paused = true)]
async fn every_stack_that_retries_hears_it() {
    let server = Server::in_memory();
    let channel = || server.channel();
    let attempts = || AttemptTimeoutLayer::new(ms(60_000)).unwrap();
    let whole = || Resilience::new().retry(policy()).trust_unprocessed();
    let below = ServiceBuilder::new()
        .layer(trusting(policy()))
        .layer(WaitForReadyLayer::new())
        .layer(attempts());
    goes_again("by hand", &server, below.service(channel())).await;
    goes_again("whole", &server, whole().wrap(channel())).await;
    let bounded = whole().attempt_timeout(attempts());
    goes_again("bounded", &server, bounded.wrap(channel())).await;
    let layered = whole().attempt_layer(Identity::new());
    goes_again("layered", &server, layered.wrap(channel())).await;
    let nested = trusting(policy().backoff(every(ms(1)))).layer(whole().wrap(channel()));
    goes_again("nested", &server, nested).await;
}

// CONTRACT I2
#[transports::test(start_paused = true)]
async fn a_declared_call_needs_no_word() {
    let (sent, _) = answered_with(
        Answer::status(Code::Unavailable, "x"),
        trusting(policy()),
        declared(),
    )
    .await;
    assert_eq!(sent, 4);
}

/// What a server says of an attempt that came too late for it, at its end.
fn too_late(code: Code, words: &str, after: u64) -> Answer {
    let said = Answer::status(code, words).metadata(WORD, method::UNARY);
    said.after(ms(after))
}

// CONTRACT I7, D11: an answer that is the attempt's end by another name
#[transports::test(start_paused = true)]
async fn the_word_counts_within_the_grace_before_the_attempt_s_end() {
    let attempts = || AttemptTimeoutLayer::new(ms(300)).unwrap();
    for (code, words, after) in [
        (Code::DeadlineExceeded, "no time left", 100),
        (Code::DeadlineExceeded, "no time left", 299),
        (Code::Cancelled, "no time left", 299),
        (Code::Unavailable, "etcdserver: request timed out", 280),
        (Code::Unknown, "context deadline exceeded", 299),
    ] {
        let server = Server::in_memory();
        let answers = || {
            server
                .script()
                .on(method::UNARY, [too_late(code, words, after)])
        };
        let policy = || policy().retry_on(Code::DeadlineExceeded);
        let by_hand = ServiceBuilder::new()
            .layer(trusting(policy()))
            .layer(WaitForReadyLayer::new())
            .layer(attempts());
        answers();
        let by_hand = by_hand.service(server.channel());
        client(by_hand).unary(undeclared()).await.unwrap();
        let whole = Resilience::new()
            .retry(policy())
            .trust_unprocessed()
            .attempt_timeout(attempts());
        answers();
        client(whole.wrap(server.channel()))
            .unary(undeclared())
            .await
            .unwrap();
        assert_eq!(server.count(), 4, "{code:?} {words} {after}");
    }
}

// CONTRACT I7, D11: a word that is not believed, or of another request, leaves the end as it is
// Over tonic alone: ours believes the server without a setting (I7).
#[tokio::test(start_paused = true)]
async fn an_attempt_s_end_without_a_word_that_counts_is_final() {
    let other =
        Answer::status(Code::DeadlineExceeded, "late").metadata(WORD, "/test.v1.Echo/Other");
    for (layer, answer) in [
        (
            RetryLayer::new(policy()),
            too_late(Code::DeadlineExceeded, "late", 299),
        ),
        (trusting(policy()), other.after(ms(299))),
    ] {
        let server = Server::in_memory();
        server.script().always(method::UNARY, answer);
        let attempts = AttemptTimeoutLayer::new(ms(300)).unwrap();
        let layered = layer.layer(attempts.layer(server.channel()));
        let status = client(layered).unary(undeclared()).await.unwrap_err();
        assert_eq!(server.count(), 1);
        assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
        let verdict = ours(&status)[0].verdict();
        assert_eq!(verdict.progress, Progress::Reached);
        assert!(!status.metadata().contains_key(WORD));
    }
}

// CONTRACT I7, D11: what a layer below knows already
#[transports::test(start_paused = true)]
async fn the_end_of_an_attempt_by_another_name_keeps_that_it_had_no_effect() {
    let server = Server::in_memory();
    let answer = too_late(Code::DeadlineExceeded, "late", 299);
    server.script().always(method::UNARY, answer);
    let attempts = AttemptTimeoutLayer::new(ms(300)).unwrap();
    // The policy does not retry the code.
    let layered = attempts.layer(trusting(policy()).layer(server.channel()));
    let status = client(layered).unary(undeclared()).await.unwrap_err();
    let verdict = ours(&status)[0].verdict();
    assert_eq!(verdict.reason, Reason::AttemptTimedOut);
    assert_eq!(verdict.progress, Progress::Unprocessed);
    assert_eq!(server.count(), 1);
}
