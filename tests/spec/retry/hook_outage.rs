//! A hook that fails again and again, as one does whose token service is down.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::retry::{BeforeAttempt, NextAttempt, RetryLayer, RetryPolicy};
use grpc_resilience::{GiveUp, Resilience, Resilient};
use test_protos::{EchoClient, EchoRequest};
use testing::{Answer, Server, method};
use tokio::time::Instant;
use tonic::{Code, Request};

use crate::support::{declared, every, ms, paused_runtime, unavailable};

/// A hook that fails in all runs but those in which the token service is up; how often it ran.
fn hook(is_up: impl Fn(u32) -> bool + Send + Sync + 'static) -> (BeforeAttempt, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&runs);
    let hook = BeforeAttempt::new(move |next: NextAttempt| {
        let is_up = is_up(counter.fetch_add(1, Ordering::Relaxed));
        async move {
            if is_up {
                Ok(next)
            } else {
                Err("the token service is down".into())
            }
        }
    });
    (hook, runs)
}

fn stack(
    server: &Server,
    policy: RetryPolicy,
    hook: BeforeAttempt,
) -> EchoClient<Resilient<transports::Channel>> {
    let retry = RetryLayer::new(policy).before_attempt(hook);
    EchoClient::new(Resilience::new().retry_layer(retry).wrap(server.channel()))
}

fn depth(error: &(dyn Error + 'static)) -> usize {
    std::iter::successors(Some(error), |error| (*error).source()).count()
}

/// Runs this in a thread with the stack that tokio gives its workers.
fn on_a_small_stack<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
        paused_runtime().block_on(test());
    });
    thread.unwrap().join().unwrap();
}

// CONTRACT R17
#[test]
fn a_hook_that_fails_20_000_times_makes_no_chain_that_grows() {
    on_a_small_stack(|| async {
        let server = Server::in_memory();
        server
            .script()
            .on(method::UNARY, [unavailable("the server's word")]);
        let (hook, runs) = hook(|run| run == 0 || run > 20_000);
        let policy = RetryPolicy::until_deadline().backoff(every(ms(1)));
        let mut client = stack(&server, policy, hook);
        client
            .unary(declared())
            .await
            .expect("the hook works in the end");
        assert_eq!(runs.load(Ordering::Relaxed), 20_002);
    });
}

// CONTRACT R17
#[test]
fn the_error_of_a_hook_that_always_fails_is_as_short_after_many_attempts_as_after_few() {
    let depth_after = |attempts: u32| {
        let (sender, depths) = std::sync::mpsc::channel();
        on_a_small_stack(move || async move {
            let server = Server::in_memory();
            server
                .script()
                .on(method::UNARY, [unavailable("the server's word")]);
            let (hook, _) = hook(|run| run == 0);
            let policy = RetryPolicy::new().max_attempts(attempts).unwrap();
            let mut client = stack(&server, policy.backoff(every(ms(1))), hook);
            let status = client.unary(declared()).await.unwrap_err();
            assert!(crate::support::sources(&status).contains("the server's word"));
            assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
            sender.send(depth(&status)).unwrap();
        });
        depths.recv().unwrap()
    };
    assert_eq!(depth_after(5_000), depth_after(3));
}

/// An error of a hook that names the failure before as its cause.
#[derive(Debug, thiserror::Error)]
#[error("no token")]
struct NoToken(#[source] Option<grpc_resilience::Error>);

// CONTRACT R17
#[test]
fn a_hook_that_names_the_last_failure_as_its_cause_makes_no_chain_that_grows() {
    on_a_small_stack(|| async {
        let server = Server::in_memory();
        let runs = AtomicU32::new(0);
        let hook = BeforeAttempt::new(move |next: NextAttempt| {
            let is_up = runs.fetch_add(1, Ordering::Relaxed) == 20_000;
            async move {
                if let Some(error) = next.last_failure() {
                    assert!(depth(error) < 8 && error.status().message().len() < 200);
                }
                if is_up {
                    Ok(next)
                } else {
                    Err(NoToken(next.last_failure().cloned()).into())
                }
            }
        });
        let policy = RetryPolicy::until_deadline().backoff(every(ms(1)));
        stack(&server, policy, hook)
            .unary(declared())
            .await
            .unwrap();
    });
}

// CONTRACT R1, R4
#[transports::test(start_paused = true)]
async fn the_failures_of_a_hook_are_attempts_backed_off_and_bounded_as_the_policy_says() {
    let server = Server::in_memory();
    let (hook, runs) = hook(|_| false);
    let policy = RetryPolicy::new()
        .max_attempts(5)
        .unwrap()
        .backoff(every(ms(100)));
    let began = Instant::now();
    let status = stack(&server, policy, hook)
        .unary(declared())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(runs.load(Ordering::Relaxed), 5);
    let took = began.elapsed();
    assert!(
        (ms(400)..ms(420)).contains(&took),
        "four waits of 100 ms: {took:?}"
    );
    assert_eq!(server.count(), 0);
}

// CONTRACT R2, R14
#[transports::test(start_paused = true)]
async fn a_hook_that_fails_until_the_deadline_ends_the_call_by_then() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let (hook, runs) = hook(|_| false);
    let policy = RetryPolicy::until_deadline().backoff(every(ms(100)));
    let mut request = Request::new(EchoRequest::default());
    request.call_options().timeout(Duration::from_secs(1));
    let began = Instant::now();
    let status = stack(&server, policy, hook)
        .unary(request)
        .await
        .unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    assert!(began.elapsed() <= ms(1_000));
    assert_eq!(runs.load(Ordering::Relaxed), 10);
}
