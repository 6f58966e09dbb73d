use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use crate::grpc::refusal::strip_trailers;

/// The handler's response body, or the empty body of a refusal.
#[pin_project]
#[derive(Debug, Default)]
pub struct ServerRateLimitBody<R>(#[pin] Option<R>);

impl<R> ServerRateLimitBody<R> {
    pub(super) fn passed(inner: R) -> Self {
        Self(Some(inner))
    }

    pub(super) fn empty() -> Self {
        Self(None)
    }
}

impl<R: Body> Body for ServerRateLimitBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        match self.project().0.as_pin_mut() {
            Some(inner) => {
                let mut read = inner.poll_frame(cx);
                strip_trailers(&mut read);
                read
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let none = || SizeHint::with_exact(0);
        self.0.as_ref().map_or_else(none, Body::size_hint)
    }
}
