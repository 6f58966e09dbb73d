//! An attempt that no other can follow is not ended by its own timeout, if the call has a deadline.

use std::convert::Infallible;

use grpc_resilience::GiveUp;
use grpc_resilience::Resilience;
use grpc_resilience::call::{CallOptionsExt, Context};
use grpc_resilience::classify::Reason;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{Outcome, Plan, Policies, Policy, RetryLayer, RetryPolicy};
use http::Response;
use test_protos::EchoRequest;
use testing::{Answer, Server};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::{Code, Request, Status};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

use super::{LIMIT, TOLD, limit, policy, timed_out};
use crate::support::{
    SECOND, Stack, all_ended, client, declared, message, ms, timeouts, undeclared, untimed,
};

/// The call's.
const LEFT: Option<u128> = Some(1_000_000);

fn by(policies: impl Into<Policies>, server: &Server) -> impl Stack {
    ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(SECOND))
        .layer(RetryLayer::new(policies))
        .layer(limit())
        .service(server.channel())
}

/// Makes a call whose last attempt has all the time that is left of a second; what its attempts
/// told the server.
async fn uses_all<T: Stack>(
    server: &Server,
    stack: T,
    request: Request<EchoRequest>,
) -> Vec<Option<u128>> {
    let start = Instant::now();
    let status = client(stack).unary(request).await.unwrap_err();
    assert_eq!(start.elapsed(), SECOND, "{status}");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(
        status.message().starts_with("the deadline of 1s"),
        "{status}"
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    timeouts(&all_ended(server).await)
}

// CONTRACT D12
#[transports::test(start_paused = true)]
async fn an_undeclared_call_has_all_the_time_of_the_call() {
    let server = Server::hanging();
    assert_eq!(
        uses_all(&server, by(policy(), &server), undeclared()).await,
        [LEFT]
    );
    let server = Server::hanging();
    let full = Resilience::new()
        .default_timeout(SECOND)
        .attempt_timeout(limit());
    let full = full.wrap(server.channel());
    assert_eq!(uses_all(&server, full, undeclared()).await, [LEFT]);
}

// CONTRACT D12: its answer was worth the wait
#[transports::test(start_paused = true)]
async fn an_undeclared_call_that_takes_longer_than_an_attempt_may_succeeds() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::handler().after(ms(900)));
    let start = Instant::now();
    let mut client = client(by(policy(), &server));
    client.unary(undeclared()).await.unwrap();
    assert_eq!(start.elapsed(), ms(900));
}

// CONTRACT D12
#[transports::test(start_paused = true)]
async fn the_last_attempt_of_a_declared_call_has_what_is_left() {
    let server = Server::hanging();
    let two = || policy().max_attempts(2).unwrap();
    let sent = uses_all(&server, by(two(), &server), declared()).await;
    assert_eq!(sent, [TOLD, Some(690_000)]);
    let server = Server::hanging();
    let mut request = declared();
    request.call_options().max_attempts(1);
    assert_eq!(
        uses_all(&server, by(two(), &server), request).await,
        [LEFT],
        "by the caller's count"
    );
}

// CONTRACT D12
#[transports::test(start_paused = true)]
async fn an_attempt_whose_time_out_is_not_retried_is_the_last() {
    let server = Server::hanging();
    let mut request = declared();
    request.call_options().retry_only_on([Code::Unavailable]);
    assert_eq!(
        uses_all(&server, by(policy(), &server), request).await,
        [LEFT]
    );
}

// CONTRACT D12
#[transports::test(start_paused = true)]
async fn a_call_whose_retries_are_switched_off_has_all_the_time_of_the_call() {
    let server = Server::hanging();
    let mut request = declared();
    request.call_options().never_retry();
    assert_eq!(
        uses_all(&server, by(policy(), &server), request).await,
        [LEFT]
    );
    let server = Server::hanging();
    let never = by(RetryPolicy::never(), &server);
    assert_eq!(uses_all(&server, never, declared()).await, [LEFT]);
    // Without a deadline layer the caller's own counts.
    let server = Server::hanging();
    let alone = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::never()))
        .layer(limit())
        .service(untimed(&server));
    let mut request = undeclared();
    request.set_timeout(SECOND);
    server.script().otherwise(Answer::handler().after(ms(900)));
    client(alone).unary(request).await.unwrap();
}

// CONTRACT D12
#[transports::test(start_paused = true)]
async fn an_attempt_whose_time_out_a_predicate_forbids_to_retry_is_the_last() {
    let by_code = || policy().never_if(|it| it.code() == Code::DeadlineExceeded.into());
    let by_words = || policy().never_if(|it| it.message().contains("attempt's timeout"));
    for forbidding in [by_code, by_words] {
        let server = Server::hanging();
        let sent = uses_all(&server, by(forbidding(), &server), declared()).await;
        assert_eq!(sent, [LEFT]);
        let server = Server::hanging();
        let full = Resilience::new()
            .default_timeout(SECOND)
            .retry(forbidding())
            .attempt_timeout(limit());
        let full = full.wrap(server.channel());
        assert_eq!(uses_all(&server, full, declared()).await, [LEFT]);
    }
    // A predicate of something else leaves the attempts their timeouts.
    let other = policy().never_if(|it| it.message().contains("corrupt"));
    let server = Server::hanging();
    let two = other.max_attempts(2).unwrap();
    let sent = uses_all(&server, by(two, &server), declared()).await;
    assert_eq!(sent, [TOLD, Some(690_000)]);
}

#[derive(Debug)]
struct Once;

impl Policy for Once {
    fn decide(&self, _: &Outcome<'_>) -> Plan {
        Plan::Stop(GiveUp::Policy("once"))
    }

    fn may_follow(&self, outcome: &Outcome<'_>) -> bool {
        assert_eq!(outcome.verdict.reason, Reason::AttemptTimedOut);
        assert_eq!(outcome.attempts, 1);
        assert_eq!(outcome.remaining, Some(SECOND));
        let status = outcome.status.unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded.into());
        assert_eq!(status.message(), "the attempt's timeout passed");
        false
    }
}

// CONTRACT D12
#[transports::test(start_paused = true)]
async fn a_policy_of_one_s_own_says_which_attempt_is_the_last() {
    let server = Server::hanging();
    assert_eq!(
        uses_all(&server, by(Once, &server), declared()).await,
        [LEFT]
    );
}

#[derive(Debug)]
struct Again;

/// It says nothing of last attempts.
impl Policy for Again {
    fn decide(&self, _: &Outcome<'_>) -> Plan {
        Plan::retry(ms(10))
    }
}

// CONTRACT D12, I2: what binds every policy
#[transports::test(start_paused = true)]
async fn whatever_a_policy_says_an_undeclared_call_and_the_caller_s_count_have_a_last_attempt() {
    let server = Server::hanging();
    assert_eq!(
        uses_all(&server, by(Again, &server), undeclared()).await,
        [LEFT]
    );
    let server = Server::hanging();
    let mut request = declared();
    request.call_options().max_attempts(2);
    assert_eq!(
        uses_all(&server, by(Again, &server), request).await,
        [TOLD, Some(690_000)]
    );
}

// CONTRACT D12
#[transports::test(start_paused = true)]
async fn without_a_deadline_or_a_retry_layer_the_timeout_ends_any_attempt() {
    let server = Server::hanging();
    let retried = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .layer(limit())
        .service(untimed(&server));
    let alone = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(SECOND))
        .layer(limit())
        .service(untimed(&server));
    let start = Instant::now();
    timed_out(&client(retried).unary(undeclared()).await.unwrap_err());
    timed_out(&client(alone).unary(undeclared()).await.unwrap_err());
    assert_eq!(start.elapsed(), 2 * LIMIT);
}

/// A stream of requests that has sent so many bytes and goes on.
fn live(
    bytes: usize,
) -> (
    mpsc::Sender<EchoRequest>,
    Request<ReceiverStream<EchoRequest>>,
) {
    let (sender, receiver) = mpsc::channel(16);
    sender.try_send(message(&"x".repeat(bytes))).unwrap();
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.call_options().idempotent();
    (sender, request)
}

async fn streams<T: Stack>(
    stack: T,
    request: Request<ReceiverStream<EchoRequest>>,
) -> Result<(), Status> {
    client(stack).client_stream(request).await.map(drop)
}

fn keeping_little(server: &Server) -> impl Stack {
    ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(SECOND))
        .layer(RetryLayer::new(policy().max_attempts(2).unwrap()).replay_limit(1_000))
        .layer(limit())
        .service(untimed(server))
}

// CONTRACT D12, R6
#[transports::test(start_paused = true)]
async fn a_request_that_outgrows_what_is_kept_makes_its_attempt_the_last() {
    // The first is repeated, and its second attempt is the last anyway.
    for (bytes, attempts) in [(10, 2), (900, 1), (5_000, 1)] {
        let server = Server::in_memory();
        server.script().otherwise(Answer::hang().reading_request());
        let (sender, request) = live(bytes);
        let more = async {
            tokio::time::sleep(ms(100)).await;
            sender.send(message(&"x".repeat(bytes))).await.unwrap();
            std::future::pending::<()>().await;
        };
        let start = Instant::now();
        let status = tokio::select! {
            status = streams(keeping_little(&server), request) => status.unwrap_err(),
            () = more => unreachable!(),
        };
        assert_eq!(start.elapsed(), SECOND, "{status}");
        assert_eq!(server.count(), attempts, "{bytes}");
    }
}

// CONTRACT D12: a server that is told of the attempt's end would end it
#[transports::test(start_paused = true)]
async fn a_request_that_was_too_large_from_its_beginning_tells_the_server_what_is_left_of_the_call()
{
    let server = Server::hanging();
    let small = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(SECOND))
        .layer(RetryLayer::new(policy()).replay_limit(4))
        .layer(limit())
        .service(server.channel());
    let mut request = Request::new(message("too large"));
    request.call_options().idempotent();
    assert_eq!(uses_all(&server, small, request).await, [LEFT]);
}

// CONTRACT D12: what layers below see
#[tokio::test(start_paused = true)]
async fn the_retry_layer_says_which_attempt_is_the_last() {
    let (says, mut said) = mpsc::unbounded_channel();
    let inner = service_fn(move |request: http::Request<Body>| {
        let context = request.extensions().get::<Context>();
        let is_last = context.is_some_and(Context::is_last_attempt);
        says.send(is_last).unwrap();
        async {
            let mut response = Response::new(Body::empty());
            let headers = response.headers_mut();
            headers.insert("grpc-status", http::HeaderValue::from_static("14"));
            Ok::<_, Infallible>(response)
        }
    });
    let ordinary = Resilience::new().retry(policy()).unlimited_budget();
    // Once it has been answered, the calls of a channel are ordinary.
    let ordinary = ordinary.wrap(inner.clone());
    let layered = RetryLayer::new(policy());
    let layered = ServiceBuilder::new().layer(layered).service(inner);
    for (is_declared, expected) in [
        (false, &[true][..]),
        (true, &[false, false, false, true][..]),
    ] {
        let request = || {
            let mut request = http::Request::post("/a.A/Get").body(Body::empty()).unwrap();
            if is_declared {
                request.call_options().idempotent();
            }
            request
        };
        let mut seen = Vec::new();
        let _failed = layered.clone().oneshot(request()).await;
        seen.extend(std::iter::from_fn(|| said.try_recv().ok()));
        assert_eq!(seen, expected);
        for _ in 0..3 {
            let mut seen = Vec::new();
            let _failed = ordinary.clone().oneshot(request()).await;
            seen.extend(std::iter::from_fn(|| said.try_recv().ok()));
            assert_eq!(seen, expected);
        }
    }
}
