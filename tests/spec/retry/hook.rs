//! What the user has run before each attempt.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use grpc_resilience::budget::BudgetLayer;
use grpc_resilience::call::{AttemptKind, Budget, CallOptionsExt, Permit};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{BeforeAttempt, NextAttempt, Retry, RetryLayer, RetryPolicy};
use grpc_resilience::{BoxError, GiveUp};
use test_protos::EchoClient;
use testing::{Answer, Server, method};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};
use tower::{Layer as _, ServiceBuilder};
use transports::{Channel, Transport};

use crate::support::{
    SECOND, Stack, client, declared, every, failures, ms, policy, previous_attempts, timeouts,
    unavailable, undeclared, waits,
};

fn layer(hook: BeforeAttempt) -> RetryLayer {
    RetryLayer::new(policy()).before_attempt(hook)
}

fn hooked(server: &Server, hook: BeforeAttempt) -> EchoClient<Retry<Channel>> {
    EchoClient::new(layer(hook).layer(server.channel()))
}

/// A hook that fails with what this says of the attempt's number, and how often it ran.
fn failing(
    fails: impl Fn(u32) -> Option<BoxError> + Send + Sync + 'static,
) -> (BeforeAttempt, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&runs);
    let hook = BeforeAttempt::new(move |next: NextAttempt| {
        counter.fetch_add(1, Ordering::Relaxed);
        let failure = fails(next.number());
        async move { failure.map_or(Ok(next), Err) }
    });
    (hook, runs)
}

fn io_error() -> BoxError {
    io::Error::other("the token store is away").into()
}

fn count(counter: &AtomicU32) -> u32 {
    counter.load(Ordering::Relaxed)
}

type Runs = Arc<Mutex<Vec<(u32, String, Option<String>)>>>;

fn recording() -> (BeforeAttempt, Runs) {
    let runs = Runs::default();
    let log = Arc::clone(&runs);
    let hook = BeforeAttempt::new(move |next: NextAttempt| {
        let failure = next.last_failure();
        let failure = failure.map(|failure| failure.status().message().to_owned());
        let run = (next.number(), next.method().to_owned(), failure);
        log.lock().unwrap().push(run);
        async move { Ok(next) }
    });
    (hook, runs)
}

fn run(number: u32, failure: Option<&str>) -> (u32, String, Option<String>) {
    (number, method::UNARY.to_owned(), failure.map(str::to_owned))
}

// PEER-CASES MW-callback
#[transports::test(start_paused = true)]
async fn the_hook_runs_before_every_attempt_and_knows_its_number_method_and_last_failure() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(2));
    let (hook, runs) = recording();
    hooked(&server, hook).unary(declared()).await.unwrap();
    let (first, second) = (Some("failure 1"), Some("failure 2"));
    assert_eq!(
        *runs.lock().unwrap(),
        [run(1, None), run(2, first), run(3, second)]
    );
}

// CONTRACT R3; PEER-CASES MW-callback
#[transports::test(start_paused = true)]
async fn the_hook_does_not_run_after_a_failure_that_is_final() {
    let fatal = Answer::status(Code::Internal, "broken");
    let server = Server::in_memory();
    let mut script = failures(1);
    script.push(fatal.clone());
    for (answers, expected) in [(vec![fatal], 1), (script, 2), (failures(9), 4)] {
        server.script().clear();
        server.script().on(method::UNARY, answers);
        let (hook, runs) = recording();
        let call = hooked(&server, hook).unary(declared()).await;
        call.unwrap_err();
        assert_eq!(runs.lock().unwrap().len(), expected);
    }
}

// CONTRACT R12
#[transports::test(start_paused = true)]
async fn the_hook_runs_for_calls_that_are_never_retried_too_and_their_answer_comes_as_it_is() {
    for (policy, never) in [(RetryPolicy::never(), false), (RetryPolicy::new(), true)] {
        for fails in [false, true] {
            let server = Server::in_memory();
            if fails {
                server.script().otherwise(unavailable("down"));
            }
            let hook = BeforeAttempt::new(|mut next: NextAttempt| async move {
                sleep(SECOND).await;
                let number = next.number();
                next.headers_mut().insert("x-token", number.into());
                Ok(next)
            });
            let layer = RetryLayer::new(policy.clone()).before_attempt(hook);
            let mut request = declared();
            request.set_timeout(3 * SECOND);
            if never {
                request.call_options().never_retry();
            }
            let call = client(layer.layer(server.channel())).unary(request).await;
            assert_eq!(call.is_err(), fails);
            if let Err(status) = call {
                assert_eq!(status.message(), "down");
                assert_eq!(GiveUp::find(&status), None);
            }
            let calls = server.calls();
            assert_eq!(calls.len(), 1);
            assert_eq!(calls[0].metadata["x-token"], "1");
            assert_eq!(timeouts(&calls), [Some(2_000_000)]);
        }
    }
}

#[transports::test(start_paused = true)]
async fn the_headers_of_the_hook_reach_its_attempt_and_do_not_pile_up_on_the_next() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(3));
    let hook = BeforeAttempt::new(|mut next: NextAttempt| async move {
        let number = next.number();
        let headers = next.headers_mut();
        headers.append("x-of-attempt", number.into());
        headers.append("x-of-both", number.into());
        headers.insert("traceparent", format!("00-{number}").parse()?);
        headers.insert(
            http::HeaderName::try_from(format!("x-only-{number}"))?,
            1.into(),
        );
        Ok(next)
    });
    let mut request = declared();
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", "00-caller".parse().unwrap());
    metadata.insert("x-of-both", "caller".parse().unwrap());
    hooked(&server, hook).unary(request).await.unwrap();

    let calls = server.calls();
    assert_eq!(calls.len(), 4);
    for (index, call) in calls.iter().enumerate() {
        let number = (index + 1).to_string();
        let all = |name: &str| -> Vec<String> {
            let values = call.metadata.get_all(name);
            let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
            values.iter().map(text).collect()
        };
        assert_eq!(all("x-of-attempt"), [number.as_str()]);
        assert_eq!(all("x-of-both"), ["caller", &number]);
        assert_eq!(all("traceparent"), [format!("00-{number}")]);
        let only: Vec<_> = call.metadata.keys().map(http::HeaderName::as_str).collect();
        let only: Vec<_> = only.iter().filter(|it| it.starts_with("x-only-")).collect();
        assert_eq!(only, [&format!("x-only-{number}")]);
    }
}

/// A hook that takes its time, and writes what is not its own to write.
fn slow_liar() -> BeforeAttempt {
    BeforeAttempt::new(|mut next: NextAttempt| async move {
        sleep(ms(300)).await;
        let headers = next.headers_mut();
        headers.append("grpc-previous-rpc-attempts", 99.into());
        headers.insert("grpc-timeout", "7H".parse()?);
        Ok(next)
    })
}

/// Attempts at 300, 610 and 920 ms of a call that was given five seconds.
async fn counts_down<T: Stack>(server: &Server, stack: T) {
    server.clear();
    server.script().on(method::UNARY, failures(2));
    let mut request = declared();
    request.set_timeout(5 * SECOND);
    client(stack).unary(request).await.unwrap();
    let calls = server.calls();
    assert_eq!(waits(&calls), [310, 310]);
    assert_eq!(previous_attempts(&calls), [None, Some("1"), Some("2")]);
    for call in &calls {
        let all = call.metadata.get_all("grpc-previous-rpc-attempts");
        assert!(all.iter().count() < 2);
    }
    let left = [4_700_000, 4_390_000, 4_080_000].map(Some);
    assert_eq!(timeouts(&calls), left);
}

// CONTRACT D2, R2, R10
#[transports::test(start_paused = true)]
async fn the_timeout_shrinks_by_the_hook_s_wait_and_the_attempts_are_counted_after_it() {
    let server = Server::in_memory();
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(60 * SECOND))
        .layer(layer(slow_liar()))
        .service(server.channel());
    counts_down(&server, stack).await;
    counts_down(&server, layer(slow_liar()).layer(server.channel())).await;
}

// CONTRACT R3
#[transports::test(start_paused = true)]
async fn a_hook_that_fails_with_a_fatal_status_ends_the_call_with_it_and_nothing_is_sent() {
    let server = Server::in_memory();
    let (hook, runs) = failing(|_| {
        let mut status = Status::unauthenticated("no token");
        let zone = status.metadata_mut();
        zone.insert("x-zone", "b".parse().unwrap());
        Some(status.into())
    });
    for request in [declared(), undeclared()] {
        let call = hooked(&server, hook.clone()).unary(request).await;
        let status = call.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unauthenticated, "no token")
        );
        assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::CodeNotRetryable));
    }
    assert_eq!(count(&runs), 2);
    assert_eq!((server.count(), server.dials()), (0, 0));
}

// CONTRACT I1, R1: nothing was sent, so that nothing need be declared
#[transports::test(start_paused = true)]
async fn a_hook_that_fails_otherwise_is_unavailable_and_retried_whatever_is_declared() {
    for request in [undeclared as fn() -> _, declared] {
        let server = Server::in_memory();
        let (hook, runs) = failing(|_| Some(io_error()));
        let start = Instant::now();
        let call = hooked(&server, hook).unary(request()).await;
        let status = call.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(
            status.message().contains("the token store is away"),
            "{status}"
        );
        assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
        assert_eq!((count(&runs), server.count()), (4, 0));
        assert_eq!(start.elapsed(), ms(30));

        let (hook, runs) = failing(|number| (number < 3).then(io_error));
        hooked(&server, hook).unary(request()).await.unwrap();
        assert_eq!((count(&runs), server.count()), (3, 1));
    }
}

fn expired_token() -> Answer {
    Answer::status(Code::Unauthenticated, "the token has expired")
}

// CONTRACT R3, R14
#[transports::test(start_paused = true)]
async fn unauthenticated_is_retried_once_and_at_once_if_the_hook_renews_credentials() {
    let server = Server::in_memory();
    let renewing = || recording().0.renews_credentials();
    server.script().on(method::UNARY, [expired_token()]);
    let call = hooked(&server, renewing()).unary(declared()).await;
    call.unwrap();
    assert_eq!(waits(&server.calls()), [0]);

    // A new token that is refused too is refused for good.
    server.clear();
    server.script().always(method::UNARY, expired_token());
    let call = hooked(&server, renewing()).unary(declared()).await;
    let status = call.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "the token has expired")
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::CodeNotRetryable));
    assert_eq!(waits(&server.calls()), [0]);

    // Once a call, not once in a row.
    server.clear();
    let script = [expired_token(), unavailable("busy"), expired_token()];
    server.script().on(method::UNARY, script);
    let call = hooked(&server, renewing()).unary(declared()).await;
    assert_eq!(call.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(waits(&server.calls()), [0, 10]);
}

// CONTRACT I3, R1
#[transports::test(start_paused = true)]
async fn unauthenticated_is_not_retried_undeclared_without_the_flag_or_beyond_the_attempts() {
    let renewing = recording().0.renews_credentials();
    let one_attempt = || {
        let mut request = declared();
        request.call_options().max_attempts(1);
        request
    };
    let only_unavailable = || {
        let mut request = declared();
        request.call_options().retry_only_on([Code::Unavailable]);
        request
    };
    for (hook, request, reason) in [
        (renewing.clone(), undeclared(), GiveUp::NotIdempotent),
        (recording().0, declared(), GiveUp::CodeNotRetryable),
        (renewing.clone(), one_attempt(), GiveUp::AttemptsExhausted),
        (renewing, only_unavailable(), GiveUp::CodeNotRetryable),
    ] {
        let server = Server::in_memory();
        server.script().on(method::UNARY, [expired_token()]);
        let status = hooked(&server, hook).unary(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(GiveUp::find(&status), Some(reason));
        assert_eq!(server.count(), 1);
    }
}

// CONTRACT D5, R17
#[transports::test(start_paused = true)]
async fn a_hook_that_hangs_ends_at_the_deadline_which_says_so() {
    for hangs_at in [1, 2] {
        let server = Server::in_memory();
        server.script().on(method::UNARY, [unavailable("busy")]);
        let hook = BeforeAttempt::new(move |next: NextAttempt| async move {
            if next.number() == hangs_at {
                pending::<()>().await;
            }
            Ok(next)
        });
        let stack = ServiceBuilder::new()
            .layer(DeadlineLayer::new().default_timeout(SECOND))
            .layer(layer(hook))
            .service(server.channel());
        let start = Instant::now();
        let status = client(stack).unary(declared()).await.unwrap_err();
        assert_eq!(start.elapsed(), SECOND);
        assert_eq!(status.code(), Code::DeadlineExceeded);
        let message = status.message();
        assert!(message.contains("preparing the next attempt"), "{message}");
        assert_eq!(message.contains("busy"), hangs_at == 2, "{message}");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
        assert_eq!(server.count(), usize::try_from(hangs_at - 1).unwrap());
    }
}

/// Counts its drops.
struct Guard(Arc<AtomicU32>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

// CONTRACT R13
#[transports::test(start_paused = true)]
async fn dropping_the_call_drops_what_the_hook_is_doing_and_nothing_is_sent() {
    let server = Server::in_memory();
    let drops = Arc::new(AtomicU32::new(0));
    let guards = Arc::clone(&drops);
    let hook = BeforeAttempt::new(move |next: NextAttempt| {
        let guard = Guard(Arc::clone(&guards));
        async move {
            sleep(SECOND).await;
            drop(guard);
            Ok(next)
        }
    });
    let mut client = hooked(&server, hook);
    timeout(ms(50), client.unary(declared())).await.unwrap_err();
    assert_eq!(count(&drops), 1);
    sleep(60 * SECOND).await;
    assert_eq!(server.count(), 0);
    // Ours connects when it is built.
    assert_eq!(server.dials() > 0, Transport::current().is_ours());
}

/// A budget of so many permits, each of which is given back if its attempt never starts.
#[derive(Debug)]
struct Permits {
    left: Arc<AtomicU32>,
    refunds: Arc<AtomicU32>,
}

impl Permits {
    fn of(left: u32) -> Arc<Self> {
        Arc::new(Self {
            left: Arc::new(AtomicU32::new(left)),
            refunds: Arc::default(),
        })
    }
}

impl Budget for Permits {
    fn succeeded(&self) {}
    fn failed(&self) {}

    fn permit(&self, _: AttemptKind) -> Option<Permit> {
        let taken = |left: u32| left.checked_sub(1);
        let order = Ordering::Relaxed;
        self.left.fetch_update(order, order, taken).ok()?;
        let (left, refunds) = (Arc::clone(&self.left), Arc::clone(&self.refunds));
        Some(Permit::refundable(Arc::new(move || {
            left.fetch_add(1, order);
            refunds.fetch_add(1, order);
        })))
    }
}

/// One call that fails once, and whose hook fails with this before the second attempt.
async fn spends(budget: &Arc<Permits>, second: fn() -> BoxError) -> (Result<(), Status>, usize) {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(1));
    let (hook, _) = failing(move |number| (number == 2).then(second));
    let stack = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(budget)))
        .layer(layer(hook))
        .service(server.channel());
    let call = client(stack).unary(declared()).await;
    (call.map(drop), server.count())
}

// CONTRACT T9
#[transports::test(start_paused = true)]
async fn the_permit_of_an_attempt_whose_hook_fails_is_given_back() {
    let budget = Permits::of(5);
    let fatal = || Status::unauthenticated("no token").into();
    let (call, sent) = spends(&budget, fatal).await;
    assert_eq!(call.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(sent, 1);
    assert_eq!((count(&budget.left), count(&budget.refunds)), (5, 1));

    let (call, sent) = spends(&budget, io_error).await;
    call.unwrap();
    assert_eq!(sent, 2);
    assert_eq!((count(&budget.left), count(&budget.refunds)), (4, 2));
}

// CONTRACT T9
#[transports::test(start_paused = true)]
async fn a_call_can_take_the_permit_again_that_its_own_failed_hook_gave_back() {
    let budget = Permits::of(1);
    let (call, sent) = spends(&budget, io_error).await;
    call.unwrap();
    assert_eq!(sent, 2);
    assert_eq!((count(&budget.left), count(&budget.refunds)), (0, 1));
}

// CONTRACT R13, T9
#[transports::test(start_paused = true)]
async fn the_permit_of_a_call_that_is_dropped_while_its_hook_runs_is_given_back() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(1));
    let budget = Permits::of(1);
    let hook = BeforeAttempt::new(|next: NextAttempt| async move {
        if next.number() == 2 {
            pending::<()>().await;
        }
        Ok(next)
    });
    let retry = RetryLayer::new(policy().backoff(every(ms(1))));
    let stack = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(retry.before_attempt(hook))
        .service(server.channel());
    let call = timeout(SECOND, client(stack).unary(declared())).await;
    call.unwrap_err();
    assert_eq!((count(&budget.left), count(&budget.refunds)), (1, 1));
}

// CONTRACT X3, R10: through the raw peer, for no server refuses a stream on demand
#[transports::test]
async fn before_a_transparent_retry_the_hook_runs_again_with_the_same_number() {
    use peer::{Connection, Peer, Stream};

    let peer = Peer::always(Connection::new().streams([Stream::refuse()])).await;
    let (hook, runs) = recording();
    let channel = layer(hook).layer(Channel::to(peer.uri()));
    EchoClient::new(channel).unary(undeclared()).await.unwrap();
    assert_eq!(peer.streams_seen().len(), 2);
    let runs = runs.lock().unwrap();
    assert_eq!(runs[0], run(1, None));
    assert_eq!((runs.len(), runs[1].0), (2, 1));
    assert!(runs[1].2.is_some());
}
