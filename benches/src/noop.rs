use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::call;

/// When the no-op service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answering {
    /// On the first poll, as soon as the request is read: a layer that polls its timer only when it
    /// must wait never does.
    AtOnce,
    /// On the second poll, as everything over a network does at best: timers are registered.
    Later,
}

/// Reads a request to its end and answers it.
#[derive(Clone, Copy, Debug)]
pub struct NoOp {
    answering: Answering,
}

impl NoOp {
    /// A service that answers so.
    #[must_use]
    pub fn new(answering: Answering) -> Self {
        Self { answering }
    }
}

/// The future of [`NoOp`].
#[derive(Debug)]
pub struct Reading {
    body: Body,
    answering: Answering,
}

impl Service<Request<Body>> for NoOp {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Reading;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Reading {
        Reading {
            body: request.into_body(),
            answering: self.answering,
        }
    }
}

impl Future for Reading {
    type Output = Result<Response<Body>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        while let Some(frame) = ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), cx)) {
            frame?;
        }
        if self.answering == Answering::Later {
            self.answering = Answering::AtOnce;
            // The driver polls a second time, so there is nobody to wake.
            return Poll::Pending;
        }
        Poll::Ready(Ok(call::response()))
    }
}
