//! What is at its end is not polled again, and a service that was found ready is the one that is called.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_resilience::Resilience;
use grpc_resilience::retry::RetryPolicy;
use http_body::{Body as _, Frame};
use test_protos::EchoResponse;
use testing::{Server, grpc_frame};
use tonic::body::Body;
use tower::{Service, ServiceBuilder, ServiceExt as _};

use crate::support::{client, hello, numbered, settle};

use super::held_head::raw;

/// Counts how often it is polled after its end.
struct Once {
    frames: Vec<Frame<Bytes>>,
    is_over: bool,
    after_end: Arc<AtomicU32>,
}

impl http_body::Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_over {
            self.after_end.fetch_add(1, Ordering::Relaxed);
        }
        let frame = self.frames.pop();
        self.is_over = frame.is_none();
        Poll::Ready(frame.map(Ok))
    }
}

/// Its futures panic if they are polled after they were ready.
#[derive(Clone, Default)]
struct Answering {
    after_end: Arc<AtomicU32>,
}

impl Service<http::Request<Body>> for Answering {
    type Response = http::Response<Once>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Once>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        let after_end = Arc::clone(&self.after_end);
        Box::pin(async move {
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let message = grpc_frame(&EchoResponse::default());
            Ok(http::Response::new(Once {
                frames: vec![Frame::trailers(trailers), Frame::data(message)],
                is_over: false,
                after_end,
            }))
        })
    }
}

#[tokio::test]
async fn a_call_that_was_answered_polls_nothing_of_the_channel_again() {
    for is_listened_to in [false, true] {
        let mut stack = Resilience::new().wrap(Answering::default());
        stack.ready().await.unwrap().call(raw(false)).await.unwrap();
        let mut call = Box::pin(stack.ready().await.unwrap().call(raw(is_listened_to)));
        (&mut call).await.unwrap();
        let again = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        assert!(again.is_pending());
    }
}

#[tokio::test]
async fn a_body_at_its_end_says_so_and_is_not_polled_again() {
    for is_listened_to in [false, true] {
        let service = Answering::default();
        let after_end = Arc::clone(&service.after_end);
        let mut stack = Resilience::new().wrap(service);
        stack.ready().await.unwrap().call(raw(false)).await.unwrap();
        let call = stack.ready().await.unwrap().call(raw(is_listened_to));
        let mut body = call.await.unwrap().into_body();
        let mut seen = Vec::new();
        for _ in 0..5 {
            let read = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            let is_data = read.map(|read| read.unwrap().is_data());
            seen.push((is_data, body.is_end_stream()));
        }
        let end = (None, true);
        assert_eq!(
            seen,
            [(Some(true), false), (Some(false), false), end, end, end]
        );
        assert_eq!(after_end.load(Ordering::Relaxed), 0);
    }
}

// DESIGN decision 1
#[transports::test(start_paused = true)]
async fn a_call_that_is_not_ordinary_goes_by_the_permit_that_was_its_own() {
    for is_listened_to in [false, true] {
        let server = Server::in_memory();
        let limited = ServiceBuilder::new()
            .concurrency_limit(1)
            .service(server.channel());
        let stack = Resilience::new().wrap(limited);
        client(stack.clone()).unary(hello()).await.unwrap();
        server.clear();
        let mut first = stack.clone();
        let first = first.ready().await.unwrap();
        let mut second = client(stack.clone());
        let second = tokio::spawn(async move { second.unary(numbered(2)).await });
        settle().await;
        // Who gave the permit away would stand in line behind the second.
        let call = first.call(raw(is_listened_to));
        let answer = call.await.unwrap();
        assert_eq!(server.calls().len(), 1);
        assert_eq!(server.calls()[0].call_id, None);
        drop(answer);
        second.await.unwrap().unwrap();
    }
}

/// Its readiness fails, and then it is never ready again.
#[derive(Clone, Default)]
struct Broken {
    polls: Arc<AtomicU32>,
}

impl Service<http::Request<Body>> for Broken {
    type Response = http::Response<Body>;
    type Error = &'static str;
    type Future = std::future::Pending<Result<http::Response<Body>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        match self.polls.fetch_add(1, Ordering::Relaxed) {
            0 => Poll::Ready(Err("broken")),
            _ => Poll::Pending,
        }
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        std::future::pending()
    }
}

// DESIGN decision 1; PEER-CASES TW-readiness
#[tokio::test(start_paused = true)]
async fn a_channel_whose_readiness_failed_fails_the_call_and_is_not_asked_again() {
    for is_listened_to in [false, true] {
        let service = Broken::default();
        let polls = Arc::clone(&service.polls);
        let one_attempt = RetryPolicy::new().max_attempts(1).unwrap();
        let mut stack = Resilience::new().retry(one_attempt).wrap(service);
        let call = stack.ready().await.unwrap().call(raw(is_listened_to));
        let error = call.await.map(drop).unwrap_err();
        let message = error.status().message();
        assert!(message.contains("broken"), "{message}");
        assert_eq!(polls.load(Ordering::Relaxed), 1);
    }
}
