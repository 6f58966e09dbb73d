//! Under a retry layer that keeps the request: what was not sent through an open gate comes back to it,
//! and goes again in the same attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::{CallOptionsExt, Context};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{BeforeAttempt, NextAttempt, RetryLayer};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{CallReport, GiveUp};
use http::Request;
use testing::Server;
use tokio::time::sleep;
use tonic::Code;
use tonic::body::Body;
use tower::ServiceBuilder;

use crate::common::{every, ms, policy, previous_attempts, undeclared};
use crate::support::{SECOND, Stack, client, hello, timeouts};

fn waiting() -> WaitForReadyLayer {
    WaitForReadyLayer::new().backoff(every(ms(100)))
}

/// Shows the gate an answer, then takes the server away for a while.
async fn lost(server: &Arc<Server>, stack: impl Stack, down: Duration) {
    client(stack).unary(hello()).await.unwrap();
    server.clear();
    server.stop();
    sleep(ms(1)).await;
    let server = Arc::clone(server);
    tokio::spawn(async move {
        sleep(down).await;
        server.start().await;
    });
}

/// An extension of the user's own.
#[derive(Clone, Debug, PartialEq)]
struct Tenant(&'static str);

// DESIGN decisions 5 and 7; CONTRACT I1, W2, T6
#[tokio::test(start_paused = true)]
async fn a_request_that_finds_the_channel_dead_waits_and_goes_once_as_the_caller_made_it() {
    let server = Arc::new(Server::in_memory());
    let bucket = Arc::new(TokenBucket::default());
    let seen = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&seen);
    let look = move |request: Request<Body>| {
        counter.fetch_add(1, Ordering::Relaxed);
        let context = request.extensions().get::<Context>().unwrap();
        assert_eq!(context.attempt(), Some(1));
        let is_theirs = request.headers().contains_key("x-user");
        assert_eq!(request.extensions().get::<Tenant>().is_some(), is_theirs);
        request
    };
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(5 * SECOND))
        .layer(BudgetLayer::new(Arc::clone(&bucket)))
        .layer(RetryLayer::new(policy()))
        .map_request(look)
        .layer(waiting())
        .service(server.channel());
    lost(&server, stack.clone(), SECOND).await;
    seen.store(0, Ordering::Relaxed);

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
    assert_eq!(
        seen.load(Ordering::Relaxed),
        2,
        "as it came back, and again"
    );

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
    assert!((3_800_000..=4_000_000).contains(&left), "{left}");
}

// CONTRACT R17, W2
#[tokio::test(start_paused = true)]
async fn a_request_that_was_handed_back_still_ends_at_its_deadline() {
    let server = Arc::new(Server::in_memory());
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(SECOND))
        .layer(RetryLayer::new(policy()))
        .layer(waiting())
        .service(server.channel());
    lost(&server, stack.clone(), 10 * SECOND).await;
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("never got ready"), "{status:?}");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    assert_eq!(server.count(), 0);
}

#[tokio::test(start_paused = true)]
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
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()).before_attempt(hook))
        .layer(waiting())
        .service(server.channel());
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
#[tokio::test(start_paused = true)]
async fn a_throttle_between_the_two_counts_one_request_and_no_refusal() {
    let server = Arc::new(Server::in_memory());
    let throttle = AdaptiveThrottleLayer::new().shared();
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .layer(throttle.clone())
        .layer(waiting())
        .service(server.channel());
    lost(&server, stack.clone(), SECOND).await;
    client(stack).unary(hello()).await.unwrap();
    let counts = throttle.snapshot();
    assert_eq!((counts.requests, counts.accepts, counts.shed), (2, 2, 0));
}

// The caller's wish is for each attempt to fail at once, handed back or not
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_fast_is_not_handed_back() {
    let server = Arc::new(Server::in_memory());
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .layer(waiting())
        .service(server.channel());
    lost(&server, stack.clone(), 10 * SECOND).await;
    let mut request = undeclared();
    request.call_options().fail_fast();
    let status = client(stack).unary(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let report = CallReport::find(&status).unwrap();
    assert_eq!((report.attempts(), report.waits()), (4, 3));
}
