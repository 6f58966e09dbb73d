use std::task::{Context, Poll};

use tower::{Layer, Service};

/// A layer that does nothing: what a generic service around another costs at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PassThrough<S> {
    inner: S,
}

/// The layer of [`PassThrough`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct PassThroughLayer;

impl<S> Layer<S> for PassThroughLayer {
    type Service = PassThrough<S>;

    fn layer(&self, inner: S) -> PassThrough<S> {
        PassThrough { inner }
    }
}

impl<S: Service<R>, R> Service<R> for PassThrough<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.inner.call(request)
    }
}
