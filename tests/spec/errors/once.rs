//! An error says a thing once: no text comes again further down its chain of sources.

use std::error::Error as StdError;
use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};

use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::budget::TokenBucket;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::classify::Reason;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{BeforeAttempt, RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{BoxError, Error, GiveUp, Resilience};
use http_body_util::BodyExt as _;
use peer::connector::Broken;
use test_protos::EchoResponse;
use testing::{Answer, Server, grpc_frame};
use tonic::body::Body;
use tonic::{Code, Request, Status};
use tower::{Layer, Service, ServiceExt as _};

use crate::support::{
    SECOND, Stack, client, declared, every, hang_after_message, hello, ms, policy,
};

const SECRET: &str = "hunter2";

/// What anyhow prints by `{:#}`.
fn printed(error: &(dyn StdError + 'static)) -> String {
    let links = std::iter::successors(Some(error), |link| (*link).source());
    let texts: Vec<String> = links.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Walks the chain: no link's text stands in that of a link before it, nor the message twice in
/// all.
fn assert_says_once(name: &str, error: &Error) {
    let links = std::iter::successors(Some(error as &(dyn StdError + 'static)), |it| {
        (*it).source()
    });
    let texts: Vec<String> = links.map(ToString::to_string).collect();
    for (at, text) in texts.iter().enumerate() {
        for before in &texts[..at] {
            assert!(
                !before.contains(text) && !text.contains(before),
                "{name}: {texts:#?}"
            );
        }
    }
    let message = format!("{:?}", error.status().message());
    let message = message.trim_matches('"');
    let all = printed(error);
    assert_eq!(all.matches(message).count(), 1, "{name}: {all}");
    for shown in [all, format!("{error:?}"), format!("{error:#?}")] {
        assert!(!shown.contains(SECRET), "{name}: {shown}");
    }
}

/// The same of the status that a generated client makes of it.
fn assert_status_says_once(name: &str, status: &Status) {
    let error = Error::find(status).unwrap_or_else(|| panic!("{name}: {status:?}"));
    assert_says_once(name, error);
    assert_eq!(status.message(), error.status().message(), "{name}");
    let message = format!("{:?}", status.message());
    let line = status.to_string();
    assert_eq!(
        line.matches(message.trim_matches('"')).count(),
        1,
        "{name}: {line}"
    );
    assert!(!line.contains(SECRET), "{name}: {line}");
}

async fn failed<T: Stack>(stack: T, request: Request<test_protos::EchoRequest>) -> Status {
    client(stack).unary(request).await.unwrap_err()
}

fn resilience() -> Resilience {
    Resilience::new().retry(policy())
}

// CONTRACT V3
#[transports::test(start_paused = true)]
async fn what_a_server_said_is_said_once() {
    let server = Server::in_memory();
    let stack = resilience().default_timeout(SECOND).wrap(server.channel());
    let frame = grpc_frame(&EchoResponse::default());
    for (name, answer) in [
        ("status", Answer::status(Code::Unavailable, "draining")),
        (
            "trailers",
            Answer::status_in_trailers(Code::Aborted, "torn"),
        ),
        (
            "pushback",
            Answer::status(Code::Unavailable, "go").pushback("-1"),
        ),
        (
            "after a message",
            Answer::status_after_message(Code::DataLoss, "torn", frame),
        ),
        (
            "page",
            Answer::http(http::StatusCode::BAD_GATEWAY, "text/html", "<html>"),
        ),
        ("lost", Answer::drop_connection()),
    ] {
        server
            .script()
            .otherwise(answer.metadata("set-cookie", SECRET));
        for request in [hello(), declared()] {
            assert_status_says_once(name, &failed(stack.clone(), request).await);
        }
    }
}

// CONTRACT V3
#[transports::test(start_paused = true)]
async fn an_expiry_names_the_last_failure_once() {
    let server = Server::in_memory();
    let answers = || {
        [
            Answer::status(Code::Unavailable, "draining"),
            Answer::hang(),
        ]
    };
    let stack = resilience().default_timeout(ms(300)).wrap(server.channel());
    server.script().on(testing::method::UNARY, answers());
    let status = failed(stack, declared()).await;
    assert!(
        status
            .message()
            .contains("last failure: UNAVAILABLE: draining")
    );
    assert_status_says_once("during an attempt", &status);

    let bounded = AttemptTimeoutLayer::new(ms(50)).unwrap();
    server.script().otherwise(Answer::hang());
    let stack = resilience().attempt_timeout(bounded).wrap(server.channel());
    assert_status_says_once("attempt timeout", &failed(stack, declared()).await);

    let down = Server::in_memory_unstarted();
    let waiting = || WaitForReadyLayer::new().backoff(every(ms(100)));
    let stack = resilience()
        .default_timeout(ms(300))
        .wait_for_ready(waiting());
    assert_status_says_once(
        "waiting",
        &failed(stack.wrap(down.channel()), hello()).await,
    );
    let alone = waiting().layer(down.channel());
    let mut request = hello();
    request.set_timeout(ms(300));
    assert_status_says_once("waiting alone", &failed(alone, request).await);
    let late = DeadlineLayer::new().forbid_missing_deadline();
    assert_status_says_once(
        "missing",
        &failed(late.layer(down.channel()), hello()).await,
    );
}

// CONTRACT V3
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn a_channel_that_can_take_no_call_is_named_once() {
    let down = Server::in_memory_unstarted();
    let refused = |request: fn() -> Request<test_protos::EchoRequest>| {
        let mut request = request();
        request.call_options().fail_fast();
        request
    };
    let waiting = WaitForReadyLayer::new()
        .backoff(every(SECOND))
        .max_waiting(0);
    let stack = waiting.layer(down.channel());
    assert_status_says_once("connect", &failed(stack.clone(), refused(hello)).await);
    assert_status_says_once("not ready", &failed(stack.clone(), refused(hello)).await);
    assert_status_says_once("queue full", &failed(stack, hello()).await);
    let endpoint = tonic::transport::Endpoint::from_static("http://broken.test");
    let stack = resilience().wrap(endpoint.connect_with_connector_lazy(Broken));
    for _ in 0..2 {
        assert_status_says_once("shut down", &failed(stack.clone(), hello()).await);
    }
    let error = stack.readiness().ready().await.unwrap_err();
    assert_says_once("ready", &error);
    let error = resilience().wrap(down.channel()).readiness().ready().await;
    assert_says_once("nothing dials", &error.unwrap_err());
}

// CONTRACT V3
#[transports::test(start_paused = true)]
async fn what_a_layer_decided_is_said_once() {
    let server = Server::in_memory();
    server
        .script()
        .otherwise(Answer::status(Code::Unavailable, "no"));
    let stack = resilience().budget(TokenBucket::new(2, 0.1).unwrap());
    let status = failed(stack.wrap(server.channel()), declared()).await;
    assert_eq!(GiveUp::find(&status), Some(GiveUp::BudgetExhausted));
    assert_status_says_once("budget", &status);
    let throttle = AdaptiveThrottleLayer::new()
        .multiplier(1.0)
        .unwrap()
        .seed(1);
    let stack = resilience().attempt_layer(throttle).wrap(server.channel());
    let status = loop {
        let status = failed(stack.clone(), hello()).await;
        if Error::find(&status).unwrap().verdict().reason == Reason::Throttled {
            break status;
        }
    };
    assert_status_says_once("throttled", &status);
    let mut none = hello();
    none.call_options().max_attempts(0);
    let stack = resilience().wrap(server.channel());
    assert_status_says_once("no attempt", &failed(stack, none).await);
}

// CONTRACT V3
#[transports::test(start_paused = true)]
async fn the_failures_of_a_hook_are_said_once_however_often_it_fails() {
    let secret = || {
        let mut status = Status::unavailable("no token now");
        let value = SECRET.parse().unwrap();
        status.metadata_mut().insert("set-cookie", value);
        status
    };
    let hooks: [Fails; 2] = [
        || io::Error::other("the store is away").into(),
        || Status::unavailable("no token now").into(),
    ];
    for hook in hooks {
        let server = Server::in_memory();
        let failing = BeforeAttempt::new(move |_| async move { Err(hook()) });
        let layer = RetryLayer::new(policy()).before_attempt(failing);
        let status = failed(layer.layer(server.channel()), declared()).await;
        assert_status_says_once("hook", &status);
    }
    let server = Server::in_memory();
    let failing = BeforeAttempt::new(move |_| {
        let failure = secret();
        async move { Err(failure.into()) }
    });
    let layer = RetryLayer::new(policy()).before_attempt(failing);
    assert_status_says_once(
        "secret",
        &failed(layer.layer(server.channel()), declared()).await,
    );
}

type Fails = fn() -> BoxError;

/// A service below ours that fails so.
#[derive(Clone)]
struct Failing(Fails);

impl Service<http::Request<Body>> for Failing {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        ready(Err((self.0)()))
    }
}

/// A foreign layer's error around another.
#[derive(Debug, thiserror::Error)]
#[error("a foreign layer failed")]
struct Foreign(#[source] BoxError);

fn secret() -> Status {
    let mut status = Status::unavailable("the backend said no");
    status
        .metadata_mut()
        .insert("set-cookie", SECRET.parse().unwrap());
    status
}

// CONTRACT V3; a foreign status holds the metadata of another call, which its `Debug` shows
#[tokio::test(start_paused = true)]
async fn a_foreign_error_is_said_once_and_its_metadata_never() {
    let services: [(&str, Fails); 6] = [
        ("status", || secret().into()),
        ("in a foreign error", || Foreign(secret().into()).into()),
        ("with a source", || {
            let mut outer = Status::aborted("outer");
            outer.set_source(std::sync::Arc::new(secret()));
            outer.into()
        }),
        ("unknown", || io::Error::other("who knows").into()),
        ("connect", || {
            tonic::ConnectError(io::Error::other("refused").into()).into()
        }),
        ("ours in a foreign error", || {
            Foreign(Error::from_inner(io::Error::other("deep")).into()).into()
        }),
    ];
    for (name, service) in services {
        for declared in [false, true] {
            let policy = if declared {
                policy().assume_idempotent()
            } else {
                RetryPolicy::new()
            };
            let layer = RetryLayer::new(policy);
            let request = http::Request::new(Body::empty());
            let answer = layer.layer(Failing(service)).oneshot(request).await;
            assert_says_once(name, &answer.map(drop).unwrap_err());
        }
        let layers = resilience().default_timeout(ms(200));
        let request = http::Request::new(Body::empty());
        let answer = layers.wrap(Failing(service)).oneshot(request).await;
        assert_says_once(name, &answer.map(drop).unwrap_err());
    }
}

// CONTRACT V3
#[transports::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_said_once() {
    let server = Server::in_memory();
    server.script().otherwise(hang_after_message());
    let stack = resilience().default_timeout(ms(100)).wrap(server.channel());
    let request = http::Request::post("/test.v1.Echo/Unary").body(Body::empty());
    let answer = stack.oneshot(request.unwrap()).await.unwrap();
    let error = answer.into_body().collect().await.map(drop).unwrap_err();
    assert_says_once("in the body", &error);
}

// CONTRACT V3: tonic's own `Display` shows its source behind the message
#[transports::test(start_paused = true)]
async fn a_client_s_status_says_all_of_it_once_by_itself() {
    let server = Server::in_memory();
    server
        .script()
        .otherwise(Answer::status(Code::Unavailable, "draining"));
    let stack = resilience().wrap(server.channel());
    let status = client(stack).unary(hello()).await.unwrap_err();
    let ours = Error::find(&status).unwrap();
    let shown = status.to_string();
    for text in ["draining", &ours.to_string()] {
        assert_eq!(shown.matches(text).count(), 1, "{shown}");
    }
    // The chain from our error on says it once, too.
    let chain = printed(ours);
    for text in ["draining", &ours.to_string()] {
        assert_eq!(chain.matches(text).count(), 1, "{chain}");
    }
}

// CONTRACT V3: the errors of configuration
#[test]
fn what_is_wrong_with_a_setting_is_said_once() {
    use grpc_resilience::idempotency::IdempotencyLayer;
    let faults: Vec<Box<dyn StdError>> = vec![
        Box::new(IdempotencyLayer::from_descriptors(b"xyz").unwrap_err()),
        Box::new(
            IdempotencyLayer::new()
                .idempotent("/a.A/{B,C}")
                .unwrap_err(),
        ),
        Box::new(IdempotencyLayer::new().idempotent("/a.A/B[").unwrap_err()),
        Box::new(AttemptTimeoutLayer::new(ms(0)).unwrap_err()),
    ];
    for fault in faults {
        let source = fault.source().map(ToString::to_string);
        let text = fault.to_string();
        assert!(
            source.is_none_or(|source| !text.contains(&source)),
            "{text}"
        );
    }
}
