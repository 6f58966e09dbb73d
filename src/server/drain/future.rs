use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use pin_project::pin_project;

use super::{DrainBody, Draining};

/// The future of [`DrainService`](super::DrainService).
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    /// Given to the body, if the GOAWAY ends it.
    until: Option<Draining>,
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, until: Option<Draining>) -> Self {
        Self { inner, until }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<DrainBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.inner.poll(cx).map_ok(|response| {
            let until = this.until.take();
            response.map(|body| DrainBody::new(body, until))
        })
    }
}
