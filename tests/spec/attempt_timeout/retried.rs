//! What the retry layer does with an attempt that its own timeout ended.

use std::sync::Arc;

use grpc_resilience::attempt_timeout::AttemptTimeout;
use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::classify::Reason;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::{Outcome, Plan, Policy, Retry, RetryLayer, RetryPolicy};
use grpc_resilience::{CallReport, GiveUp, Resilience};
use testing::{Answer, Server, method};
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::{Layer, ServiceBuilder};

use super::{LIMIT, TOLD, limit, policy, timed_out};
use crate::support::{
    SECOND, Untimed, client, declared, ms, previous_attempts, settle, timeouts, undeclared,
    untimed, waits,
};

type Retried = Retry<AttemptTimeout<Untimed>>;

/// Without a deadline, so that the timeout ends last attempts, too (CONTRACT D12).
fn retried(server: &Server, policy: RetryPolicy) -> Retried {
    ServiceBuilder::new()
        .layer(RetryLayer::new(policy))
        .layer(limit())
        .service(untimed(server))
}

/// Why a call was given up whose last attempt timed out.
fn give_up(status: &Status) -> Option<GiveUp> {
    timed_out(status);
    GiveUp::find(status)
}

// PEER-CASES CORE-per-attempt-timeout, MW-per-retry-timeout; CONTRACT R10
#[transports::test(start_paused = true)]
async fn an_attempt_over_its_time_is_cancelled_and_the_next_one_goes() {
    for wired in [false, true] {
        let server = Server::in_memory();
        let hangs = [Answer::hang(), Answer::hang()];
        server.script().on(method::UNARY, hangs);
        let stack = Resilience::new()
            .default_timeout(10 * SECOND)
            .retry(policy())
            .attempt_timeout(limit());
        let start = Instant::now();
        let answer = if wired {
            client(stack.wrap(server.channel())).unary(declared()).await
        } else {
            client(stack.wrap(untimed(&server))).unary(declared()).await
        };
        let report = answer.unwrap().extensions().get::<CallReport>().cloned();
        assert_eq!(start.elapsed(), ms(620));
        settle().await;
        let calls = server.calls();
        assert_eq!(previous_attempts(&calls), [None, Some("1"), Some("2")]);
        assert_eq!(waits(&calls), [310, 310]);
        assert!(calls[0].cancelled() && calls[1].cancelled());
        if wired {
            assert_eq!(timeouts(&calls), [TOLD; 3]);
        }
        let failed = report.unwrap().failed_attempts();
        assert_eq!(failed.len(), 2);
        for attempt in failed {
            assert_eq!(attempt.verdict.reason, Reason::AttemptTimedOut);
            assert_eq!(attempt.took, LIMIT);
        }
    }
}

// PEER-CASES CORE-per-attempt-timeout: exhausted is the last status
#[transports::test(start_paused = true)]
async fn when_all_attempts_timed_out_the_call_fails_as_the_last() {
    let server = Server::hanging();
    let start = Instant::now();
    let mut client = client(retried(&server, policy()));
    let status = client.unary(declared()).await.unwrap_err();
    assert_eq!(give_up(&status), Some(GiveUp::AttemptsExhausted));
    assert_eq!(start.elapsed(), 4 * LIMIT + ms(30));
    settle().await;
    assert!(server.calls().iter().all(testing::Call::cancelled));
    assert_eq!(server.count(), 4);
}

// CONTRACT R14
#[transports::test(start_paused = true)]
async fn the_deadline_bounds_all_attempts_together() {
    let server = Server::hanging();
    let mut request = declared();
    request.set_timeout(ms(305 + 300));
    let start = Instant::now();
    let stack = DeadlineLayer::new().layer(retried(&server, policy()));
    let status = client(stack).unary(request).await.unwrap_err();
    assert_eq!(start.elapsed(), ms(605));
    assert!(
        status.message().starts_with("the deadline of 605ms"),
        "{status}"
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    assert_eq!(server.count(), 2);
}

// CONTRACT I2, I4
#[transports::test(start_paused = true)]
async fn an_undeclared_call_that_timed_out_is_not_repeated() {
    let server = Server::hanging();
    let mut client = client(retried(&server, policy().retry_on(Code::DeadlineExceeded)));
    let status = client.unary(undeclared()).await.unwrap_err();
    assert_eq!(give_up(&status), Some(GiveUp::NotIdempotent));
    assert_eq!(server.count(), 1);
}

#[transports::test(start_paused = true)]
async fn the_policy_s_codes_do_not_matter_and_the_caller_s_do() {
    let server = Server::hanging();
    let other = policy().retry_only_on([Code::Aborted]);
    let mut client = client(retried(&server, other));
    let status = client.unary(declared()).await.unwrap_err();
    assert_eq!(give_up(&status), Some(GiveUp::AttemptsExhausted));
    for (codes, expected) in [
        (vec![Code::Unavailable], GiveUp::CodeNotRetryable),
        (vec![Code::DeadlineExceeded], GiveUp::AttemptsExhausted),
    ] {
        let mut request = declared();
        request.call_options().retry_only_on(codes);
        let status = client.unary(request).await.unwrap_err();
        assert_eq!(give_up(&status), Some(expected));
    }
    assert_eq!(server.count(), 4 + 1 + 4);
}

// CONTRACT D8
#[transports::test(start_paused = true)]
async fn a_server_s_own_deadline_exceeded_is_not_an_attempt_s_timeout() {
    let server = Server::in_memory();
    let early = Answer::status(Code::DeadlineExceeded, "a backend was slow");
    server.script().otherwise(early);
    let mut client = client(retried(&server, policy()));
    let status = client.unary(declared()).await.unwrap_err();
    assert_eq!(status.message(), "a backend was slow");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::CodeNotRetryable));
    assert_eq!(server.count(), 1);
}

// PEER-CASES CORE-per-attempt-timeout: whoever bounds the attempt
#[tokio::test(start_paused = true)]
async fn tonic_s_own_timer_counts_too() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, [Answer::hang()]);
    let endpoint = server.endpoint().timeout(LIMIT);
    let channel = || server.connect_lazy(&endpoint);
    let retry = RetryLayer::new(policy());
    let start = Instant::now();
    client(retry.layer(channel()))
        .unary(declared())
        .await
        .unwrap();
    assert_eq!(start.elapsed(), ms(310));
    server.script().otherwise(Answer::hang());
    let status = client(retry.layer(channel())).unary(undeclared()).await;
    assert_eq!(
        GiveUp::find(&status.unwrap_err()),
        Some(GiveUp::NotIdempotent)
    );
    assert_eq!(server.count(), 3);
}

// CONTRACT T2, T4
#[transports::test(start_paused = true)]
async fn an_attempt_that_timed_out_costs_a_token_and_the_deadline_costs_none() {
    let server = Server::hanging();
    let budget = Arc::new(TokenBucket::new(6, 0.1).unwrap());
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(10 * SECOND))
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::new(policy()))
        .layer(limit())
        .service(server.channel());
    let left = |tokens: f64| assert!((budget.tokens() - tokens).abs() < 1e-9, "{budget:?}");
    // Not repeated, and yet the server's failure.
    let mut request = undeclared();
    request.call_options().no_timeout();
    let status = client(stack.clone()).unary(request).await;
    assert_eq!(
        GiveUp::find(&status.unwrap_err()),
        Some(GiveUp::NotIdempotent)
    );
    left(5.0);
    for mut request in [declared(), undeclared()] {
        request.set_timeout(ms(100));
        let status = client(stack.clone()).unary(request).await.unwrap_err();
        assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
        left(5.0);
    }
    let status = client(stack).unary(declared()).await.unwrap_err();
    assert_eq!(give_up(&status), Some(GiveUp::BudgetExhausted));
    left(3.0);
    assert_eq!(server.count(), 1 + 2 + 2);
}

#[derive(Debug)]
struct Never;

impl Policy for Never {
    fn decide(&self, _: &Outcome<'_>) -> Plan {
        Plan::Stop(GiveUp::Policy("never"))
    }
}

// CONTRACT T2
#[transports::test(start_paused = true)]
async fn a_policy_of_one_s_own_charges_it_too() {
    let server = Server::hanging();
    let budget = Arc::new(TokenBucket::new(6, 0.1).unwrap());
    let stack = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::new(Never))
        .layer(limit())
        .service(server.channel());
    client(stack).unary(declared()).await.unwrap_err();
    assert!((budget.tokens() - 5.0).abs() < f64::EPSILON);
}

// CONTRACT D11: without a deadline layer it is tonic's timer that ends the call
#[transports::test(start_paused = true)]
async fn tonic_s_timer_at_the_deadline_costs_no_token() {
    let server = Server::hanging();
    let budget = Arc::new(TokenBucket::new(6, 0.1).unwrap());
    let stack = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::new(policy()))
        .service(server.channel());
    let mut request = declared();
    request.set_timeout(LIMIT);
    let status = client(stack).unary(request).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    assert!((budget.tokens() - 6.0).abs() < f64::EPSILON);
}

// CONTRACT R6: the head is held where one message answers, and so the attempt can be repeated
#[transports::test(start_paused = true)]
async fn an_attempt_without_its_message_is_repeated_where_one_message_answers() {
    for (kind, count) in [
        (Some(MethodKind::Unary), 2),
        (Some(MethodKind::ServerStreaming), 1),
        (None, 1),
    ] {
        let server = Server::in_memory();
        server.script().next(Answer::hang_after_head());
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(policy()))
            .layer(limit().until_first_message())
            .service(untimed(&server));
        let mut request = declared();
        if let Some(kind) = kind {
            request.call_options().kind(kind);
        }
        let answer = client(stack).unary(request).await;
        settle().await;
        assert_eq!(server.count(), count, "{kind:?}");
        assert!(server.calls()[0].cancelled());
        match answer {
            Ok(_) => assert_eq!(count, 2),
            Err(status) => {
                assert_eq!(count, 1, "{status:?}");
                assert_eq!(give_up(&status), Some(GiveUp::Committed));
            }
        }
    }
}
