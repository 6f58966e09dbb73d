//! What the layer asks of the service below it.

use std::task::{Context, Poll};

use grpc_resilience::GiveUp;
use grpc_resilience::retry::RetryLayer;
use http::{Request, Response};
use test_protos::{EchoClient, EchoResponse};
use testing::grpc_frame;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::buffer::Buffer;
use tower::{BoxError, Layer as _, Service};
use tower_test::mock;

use crate::support::{declared, ms, policy};

type Sent = Request<Body>;
type Answered = Response<Body>;

fn unavailable(message: &'static str) -> Answered {
    Status::unavailable(message).into_http()
}

fn ok() -> Answered {
    use http_body_util::{BodyExt as _, Full};

    let message = Full::new(grpc_frame(&EchoResponse::default()));
    let trailers = async { Some(Ok(trailers_ok())) };
    let body = Body::new(message.with_trailers(trailers));
    let response = Response::builder().header("content-type", "application/grpc");
    response.body(body).unwrap()
}

fn trailers_ok() -> http::HeaderMap {
    let status = ("grpc-status".parse().unwrap(), "0".parse().unwrap());
    std::iter::once(status).collect()
}

fn nothing_came(handle: &mut mock::Handle<Sent, Answered>) -> bool {
    let mut next = std::pin::pin!(handle.next_request());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    next.as_mut().poll(&mut cx).is_pending()
}

// PEER-CASES TW-readiness: tower-test's mock panics at a call that was not polled ready.
#[tokio::test(start_paused = true)]
async fn every_attempt_waits_for_a_ready_service() {
    let (mock, mut handle) = mock::pair::<Sent, Answered>();
    let mut client = EchoClient::new(RetryLayer::new(policy()).layer(mock));
    handle.allow(0);
    let call = tokio::spawn(async move { client.unary(declared()).await });

    for attempt in 1..=3 {
        tokio::time::sleep(ms(1_000)).await;
        assert!(
            nothing_came(&mut handle),
            "attempt {attempt} went before the service was ready"
        );
        handle.allow(1);
        let (request, answer) = handle.next_request().await.unwrap();
        let previous = request.headers().get("grpc-previous-rpc-attempts");
        assert_eq!(previous.is_some(), attempt > 1);
        answer.send_response(if attempt < 3 {
            unavailable("one")
        } else {
            ok()
        });
    }
    call.await.unwrap().unwrap();
}

// PEER-CASES TW-readiness, TW-clone: readiness belongs to the service that was polled.
#[tokio::test(start_paused = true)]
async fn a_clone_of_a_ready_client_is_polled_ready_itself() {
    let (mock, mut handle) = mock::pair::<Sent, Answered>();
    let mut one = RetryLayer::new(policy()).layer(mock);
    std::future::poll_fn(|cx| Service::<Sent>::poll_ready(&mut one, cx))
        .await
        .unwrap();
    let clients = [one.clone(), one].map(EchoClient::new);
    let calls =
        clients.map(|mut client| tokio::spawn(async move { client.unary(declared()).await }));
    for _ in 0..2 {
        handle.allow(1);
        let (_, answer) = handle.next_request().await.unwrap();
        answer.send_response(ok());
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

/// Answers once, and then is broken for ever.
#[derive(Debug)]
struct Breaks {
    answered: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the pool is gone")]
struct PoolGone;

impl Service<Sent> for Breaks {
    type Response = Answered;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Answered, BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.answered {
            return Poll::Ready(Err(PoolGone.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Sent) -> Self::Future {
        self.answered = true;
        std::future::ready(Ok(unavailable("the last real error")))
    }
}

// CONTRACT R17
#[tokio::test(start_paused = true)]
async fn a_closed_channel_does_not_hide_the_last_real_error() {
    let buffered = Buffer::new(Breaks { answered: false }, 8);
    let mut client = EchoClient::new(RetryLayer::new(policy()).layer(buffered));
    let status = client.unary(declared()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "the last real error")
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotReady));

    // With no answer before it, the readiness error is all there is to say.
    let status = client.unary(declared()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("the pool is gone"), "{status}");
}

// CONTRACT R17
#[tokio::test(start_paused = true)]
async fn a_readiness_error_of_any_kind_does_not_hide_the_last_real_error() {
    let (mock, mut handle) = mock::pair::<Sent, Answered>();
    let mut client = EchoClient::new(RetryLayer::new(policy()).layer(mock));
    let call = tokio::spawn(async move { client.unary(declared()).await });
    let (_, answer) = handle.next_request().await.unwrap();
    handle.send_error(PoolGone);
    answer.send_response(unavailable("the last real error"));
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "the last real error")
    );
}
