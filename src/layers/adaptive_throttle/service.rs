use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::body::RequestBody;
use crate::call;
use crate::dispatch::{Readied, Recorder, guard};
use crate::error::{BoxError, Error};

use super::{ResponseFuture, Throttle, ThrottleBody};

/// The service of [`AdaptiveThrottleLayer`](super::AdaptiveThrottleLayer).
#[derive(Clone, Debug)]
pub struct AdaptiveThrottle<S> {
    inner: Readied<S>,
    throttle: Throttle,
}

impl<S: Clone> AdaptiveThrottle<S> {
    pub(super) fn new(inner: S, throttle: Throttle) -> Self {
        Self {
            inner: Readied::new(inner),
            throttle,
        }
    }
}

impl<S> AdaptiveThrottle<S> {
    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        self.inner.get_ref()
    }

    /// The inner service, without the layer.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner.into_inner()
    }

    /// The throttle of this service and its clones, to be read while they run in a stack.
    #[must_use]
    pub fn throttle(&self) -> Throttle {
        self.throttle.clone()
    }
}

impl<S, B, R> Service<Request<B>> for AdaptiveThrottle<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<ThrottleBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll(cx);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture<S, B> {
        let recorder = Recorder::of(&request);
        let context = request.extensions().get::<call::Context>();
        if let Some(context) = context {
            context.seen_by(call::Reader::Other);
        }
        if context.is_some_and(call::Context::is_held) {
            self.throttle.stands_below_wait();
        }
        if let Err(error) = self.throttle.admit() {
            self.inner.hold_back(&request);
            let error = recorder.decided(Some(request.uri().path()), error);
            return ResponseFuture::held_back(error, recorder);
        }
        let guard = guard(&mut request);
        let attempt = self.inner.attempt(request, recorder.trace(), Instant::now);
        ResponseFuture::new(attempt, self.throttle.clone(), recorder).guarding(guard)
    }
}
