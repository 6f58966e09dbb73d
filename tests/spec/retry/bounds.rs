//! What holds for every policy, a user's own too.

use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::GiveUp;
use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::retry::{
    BeforeAttempt, NextAttempt, Outcome, Plan, Policy, RetryLayer, RetryPolicy,
};
use test_protos::{EchoClient, EchoRequest};
use testing::{Answer, Server};
use tonic::{Code, Request, Status};
use tower::ServiceBuilder;

use crate::support::{declared, every, ms, unavailable};

/// Says the same whatever happened.
#[derive(Debug)]
struct Always(Plan);

impl Policy for Always {
    fn decide(&self, _: &Outcome<'_>) -> Plan {
        self.0
    }
}

fn retry(after: Duration) -> Plan {
    Plan::retry(after)
}

fn transparent(after: Duration) -> Plan {
    Plan::transparent(after)
}

/// How a call ends whose every attempt is answered so, and how many there were.
async fn play(
    plan: Plan,
    answer: Answer,
    budget: &Arc<TokenBucket>,
    request: Request<EchoRequest>,
) -> (Option<GiveUp>, usize) {
    let server = Server::in_memory();
    server.script().otherwise(answer);
    let channel = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(budget)))
        .layer(RetryLayer::new(Always(plan)))
        .service(server.channel());
    let status = EchoClient::new(channel).unary(request).await.unwrap_err();
    (GiveUp::find(&status), server.count())
}

fn bucket(tokens: u32) -> Arc<TokenBucket> {
    Arc::new(TokenBucket::new(tokens, 0.1).unwrap())
}

// CONTRACT T2, T4: whatever the code, and whatever the policy calls the retry
#[transports::test(start_paused = true)]
async fn no_policy_escapes_the_budget() {
    for plan in [retry(ms(1)), transparent(ms(1))] {
        for code in [Code::Unavailable, Code::Aborted] {
            let answer = Answer::status(code, "no");
            let outcome = play(plan, answer, &bucket(4), declared()).await;
            assert_eq!(outcome, (Some(GiveUp::BudgetExhausted), 2), "{plan:?}");
        }
    }
}

// CONTRACT R2, R14
#[transports::test(start_paused = true)]
async fn no_policy_waits_beyond_the_deadline() {
    for plan in [retry(ms(1_000)), transparent(ms(1_000))] {
        let mut request = declared();
        request.set_timeout(ms(1_500));
        let outcome = play(plan, unavailable("no"), &bucket(300), request).await;
        assert_eq!(outcome, (Some(GiveUp::Deadline), 2), "{plan:?}");
    }
}

// CONTRACT R1, P3
#[transports::test(start_paused = true)]
async fn no_policy_overrules_the_caller_s_attempts_or_a_pushback_that_says_no() {
    for plan in [retry(ms(1)), transparent(ms(1))] {
        let mut request = declared();
        request.call_options().max_attempts(3);
        let outcome = play(plan, unavailable("no"), &bucket(300), request).await;
        assert_eq!(outcome, (Some(GiveUp::AttemptsExhausted), 3), "{plan:?}");

        let answer = unavailable("no").pushback("-1");
        let outcome = play(plan, answer, &bucket(300), declared()).await;
        assert_eq!(outcome, (Some(GiveUp::PushbackStop), 1), "{plan:?}");
    }
}

// CONTRACT R17, T2: a token that can't be had says nothing of the server, and hides nothing that it said
#[transports::test(start_paused = true)]
async fn a_failing_hook_costs_the_server_no_token_and_the_server_s_word_stays_in_the_chain() {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("the server's word"));
    let hook = BeforeAttempt::new(|next: NextAttempt| async move {
        match next.number() {
            1 => Ok(next),
            2 => Err(std::io::Error::other("no token now").into()),
            _ => Err(Status::internal("no token at all").into()),
        }
    });
    let budget = bucket(10);
    let policy = RetryPolicy::new().backoff(every(ms(10)));
    let channel = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::new(policy).before_attempt(hook))
        .service(server.channel());
    let status = EchoClient::new(channel)
        .unary(declared())
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Internal, "no token at all")
    );
    let words = crate::support::sources(&status);
    assert!(
        words.contains("no token now") && words.contains("the server's word"),
        "{words}"
    );
    assert!((budget.tokens() - 9.0).abs() < f64::EPSILON);
    assert_eq!(server.count(), 1);
}
