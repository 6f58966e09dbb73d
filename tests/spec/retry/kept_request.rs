//! What is kept of a request, and for how long; and two more things about the hook.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{BeforeAttempt, NextAttempt, RetryLayer};
use grpc_resilience::{BoxError, GiveUp};
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use testing::Server;
use tokio::time::{sleep, timeout};
use tonic::body::Body;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{SECOND, client, hang_after_message, message, ms, policy, undeclared};

/// What the user of a channel puts into a request.
#[derive(Clone)]
struct Token(#[expect(dead_code, reason = "it only counts")] Arc<()>);

// CONTRACT R7
#[transports::test(start_paused = true)]
async fn what_the_caller_put_into_the_request_is_let_go_with_the_head_of_the_answer() {
    let server = Server::in_memory();
    let hang = hang_after_message();
    server.script().otherwise(hang);
    for retries in [false, true] {
        let token = Arc::new(());
        let mut request = tonic::Request::new(message("x"));
        request.extensions_mut().insert(Token(Arc::clone(&token)));
        let answer = if retries {
            let stack = RetryLayer::new(policy()).layer(server.channel());
            client(stack).server_stream(request).await
        } else {
            client(server.channel()).server_stream(request).await
        };
        let answer = answer.unwrap();
        sleep(ms(100)).await;
        assert_eq!(Arc::strong_count(&token), 1, "retries: {retries}");
        drop(answer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_under_a_call_that_is_never_retried_says_so() {
    let inner = service_fn(|_: Request<Body>| async {
        let frames = [
            Ok(http_body::Frame::data(bytes::Bytes::from_static(b"x"))),
            Err(tonic::Status::unavailable("broke")),
        ];
        let body = Body::new(StreamBody::new(tokio_stream::iter(frames)));
        Ok::<_, BoxError>(Response::new(body))
    });
    let mut request = Request::new(Body::empty());
    request.call_options().never_retry();
    let answer = RetryLayer::new(policy())
        .layer(inner)
        .oneshot(request)
        .await
        .unwrap();
    let error = answer.into_body().collect().await.err().unwrap();
    assert_eq!(error.give_up(), Some(GiveUp::SwitchedOff));
}

/// An error that holds what it is about.
struct Holds<T>(Mutex<T>);
impl<T> std::fmt::Debug for Holds<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("holds")
    }
}
impl<T> std::fmt::Display for Holds<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("holds")
    }
}
impl<T> std::error::Error for Holds<T> {}

async fn leaks_nothing(with_extension: bool) {
    let server = Server::in_memory();
    let hang = hang_after_message();
    server.script().otherwise(hang);
    let marker = Arc::new(());
    let kept = Arc::clone(&marker);
    let picky = RetryLayer::new(policy()).layer(server.channel()).and_then(
        move |mut response: Response<_>| {
            response.extensions_mut().insert(Arc::clone(&kept));
            async move {
                sleep(ms(997)).await;
                let mut status = tonic::Status::cancelled("bad answer");
                status.set_source(Arc::new(Holds(Mutex::new(response))));
                Err::<Response<Body>, BoxError>(status.into())
            }
        },
    );
    let mut request = Request::post("http://a/test.v1.Echo/ServerStream")
        .body(Body::empty())
        .unwrap();
    if with_extension {
        request.extensions_mut().insert(7_u8);
    }
    let bounded = DeadlineLayer::new().default_timeout(SECOND).layer(picky);
    let error = bounded.oneshot(request).await.err().unwrap();
    assert_eq!(error.code(), grpc_resilience::grpc::Code::DeadlineExceeded);
    drop(error);
    sleep(SECOND).await;
    assert_eq!(
        Arc::strong_count(&marker),
        1,
        "with an extension: {with_extension}"
    );
}

#[transports::test(start_paused = true)]
async fn an_error_that_holds_a_response_leaks_nothing() {
    leaks_nothing(false).await;
    leaks_nothing(true).await;
}

#[transports::test(start_paused = true)]
async fn a_hook_sees_the_timeout_that_the_caller_set() {
    let server = Server::in_memory();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let saw = Arc::clone(&seen);
    let hook = BeforeAttempt::new(move |next: NextAttempt| {
        saw.lock()
            .unwrap()
            .push(next.headers().contains_key("grpc-timeout"));
        async move { Ok(next) }
    });
    let stack = RetryLayer::new(policy())
        .before_attempt(hook)
        .layer(server.channel());
    for never in [true, false] {
        let mut request = undeclared();
        request.set_timeout(SECOND);
        if never {
            request.call_options().never_retry();
        }
        client(stack.clone()).unary(request).await.unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), [true, true]);
}

// CONTRACT R1
#[transports::test]
async fn a_hook_that_fails_after_a_transparent_retry_is_bounded_by_the_attempts() {
    use peer::{Connection, Peer, Stream};

    let peer = Peer::always(Connection::new().streams([Stream::refuse()])).await;
    let runs = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&runs);
    let hook = BeforeAttempt::new(move |next: NextAttempt| {
        let run = counter.fetch_add(1, Ordering::Relaxed);
        async move {
            if run == 0 {
                Ok(next)
            } else {
                Err(BoxError::from("no token"))
            }
        }
    });
    let stack = RetryLayer::new(policy())
        .before_attempt(hook)
        .layer(transports::Channel::to(peer.uri()));
    let ended = timeout(3 * SECOND, client(stack).unary(undeclared())).await;
    let runs = runs.load(Ordering::Relaxed);
    assert!(
        ended.is_ok() && runs <= 5,
        "{runs} runs, ended: {}",
        ended.is_ok()
    );
}
