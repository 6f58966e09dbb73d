//! Under a retry layer that keeps the request: what was not sent through an open gate comes back to it,
//! and goes again in the same attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
use grpc_resilience::budget::TokenBucket;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::retry::{BeforeAttempt, NextAttempt, RetryLayer};
use grpc_resilience::{CallReport, GiveUp, Resilience};
use testing::Server;
use tonic::Code;
use transports::Transport;

use super::{lost, waiting};
use crate::support::{SECOND, client, hello, policy, previous_attempts, timeouts, undeclared};

/// An extension of the user's own.
#[derive(Clone, Debug, PartialEq)]
struct Tenant(&'static str);

// DESIGN decisions 5 and 7; CONTRACT I1, W2, T6
#[transports::test(start_paused = true)]
async fn a_request_that_finds_the_channel_dead_waits_and_goes_once_as_the_caller_made_it() {
    let server = Arc::new(Server::in_memory());
    let bucket = Arc::new(TokenBucket::default());
    let stack = Resilience::new()
        .default_timeout(5 * SECOND)
        .budget(Arc::clone(&bucket))
        .wait_for_ready(waiting())
        .wrap(server.channel());
    lost(&server, stack.clone(), SECOND).await;

    let mut request = undeclared();
    for user in ["ann", "bob"] {
        let user = user.parse().unwrap();
        request.metadata_mut().append("x-user", user);
    }
    for number in 0..6 {
        let name = tonic::metadata::AsciiMetadataKey::from_bytes(format!("x-{number}").as_bytes());
        let value = number.to_string().parse().unwrap();
        request.metadata_mut().insert(name.unwrap(), value);
    }
    request.extensions_mut().insert(Tenant("acme"));
    let answer = client(stack).unary(request).await.unwrap();
    let report = answer.extensions().get::<CallReport>().cloned().unwrap();
    assert_eq!((report.attempts(), report.waits()), (1, 1));
    assert_eq!(report.transparent_retries(), 0);
    assert!(report.failed_attempts().is_empty());
    assert!((bucket.tokens() - 300.0).abs() < f64::EPSILON);

    let calls = server.calls();
    assert_eq!(calls.len(), 1);
    let users: Vec<_> = calls[0].metadata.get_all("x-user").iter().collect();
    assert_eq!(users, ["ann", "bob"]);
    for number in 0..6 {
        let name = format!("x-{number}");
        assert_eq!(calls[0].header(&name), Some(&*number.to_string()));
    }
    assert_eq!(previous_attempts(&calls), [None]);
    let left = timeouts(&calls)[0].unwrap();
    // The layer dials each 100 ms; ours by a backoff of its own, of at most a second by then.
    let least = match Transport::current() {
        Transport::Tonic => 3_800_000,
        Transport::Ours => 3_000_000,
    };
    assert!((least..=4_000_000).contains(&left), "{left}");
}

// CONTRACT R17, W2
#[transports::test(start_paused = true)]
async fn a_request_that_was_handed_back_still_ends_at_its_deadline() {
    let server = Arc::new(Server::in_memory());
    let stack = Resilience::new()
        .default_timeout(SECOND)
        .wait_for_ready(waiting())
        .wrap(server.channel());
    lost(&server, stack.clone(), 10 * SECOND).await;
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("to become ready"), "{status:?}");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    assert_eq!(server.count(), 0);
}

#[transports::test(start_paused = true)]
async fn a_hook_runs_once_for_it_and_what_it_wrote_arrives() {
    let server = Arc::new(Server::in_memory());
    let runs = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&runs);
    let hook = BeforeAttempt::new(move |mut next: NextAttempt| {
        let run = counter.fetch_add(1, Ordering::Relaxed);
        async move {
            next.headers_mut().insert("x-run", run.into());
            Ok(next)
        }
    });
    let stack = Resilience::new()
        .retry_layer(RetryLayer::new(policy()).before_attempt(hook))
        .wait_for_ready(waiting())
        .wrap(server.channel());
    lost(&server, stack.clone(), SECOND).await;
    client(stack).unary(hello()).await.unwrap();
    assert_eq!(
        runs.load(Ordering::Relaxed),
        2,
        "one of them for the first call"
    );
    assert_eq!(server.calls()[0].header("x-run"), Some("1"));
}

// CONTRACT T2: what was spared the server says nothing of it
#[transports::test(start_paused = true)]
async fn with_a_throttle_between_the_two_nothing_is_handed_back_and_it_hears_of_one_request() {
    let server = Arc::new(Server::in_memory());
    let throttle = AdaptiveThrottleLayer::new().shared();
    let stack = Resilience::new()
        .attempt_layer(throttle.clone())
        .wait_for_ready(waiting())
        .wrap(server.channel());
    lost(&server, stack.clone(), SECOND).await;
    client(stack).unary(hello()).await.unwrap();
    let counts = throttle.snapshot();
    assert_eq!((counts.requests, counts.accepts, counts.shed), (2, 2, 0));
}

// The caller's wish is for each attempt to fail at once, handed back or not
#[transports::test(start_paused = true)]
async fn a_call_that_fails_fast_is_not_handed_back() {
    let server = Arc::new(Server::in_memory());
    let stack = Resilience::new()
        .retry(policy())
        .wait_for_ready(waiting())
        .wrap(server.channel());
    lost(&server, stack.clone(), 10 * SECOND).await;
    let mut request = undeclared();
    request.call_options().fail_fast();
    let status = client(stack).unary(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let report = CallReport::find(&status).unwrap();
    assert_eq!((report.attempts(), report.waits()), (4, 3));
}
