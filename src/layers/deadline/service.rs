use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::body::RequestBody;
use crate::call::{self, CallOptions};
use crate::dispatch::{Readied, Recorder, always_guard};
use crate::error::{BoxError, Error};
use crate::grpc::{TIMEOUT, find};

use super::plan::DeadlinePlan;
use super::{DeadlineBody, DeadlinePolicy, ResponseFuture};

/// The service of [`DeadlineLayer`](super::DeadlineLayer).
#[derive(Clone, Debug)]
pub struct Deadline<S> {
    inner: Readied<S>,
    rules: DeadlinePlan,
}

impl<S: Clone> Deadline<S> {
    pub(super) fn new(inner: S, policy: DeadlinePolicy) -> Self {
        Self {
            inner: Readied::new(inner),
            rules: DeadlinePlan::new(policy),
        }
    }
}

impl<S> Deadline<S> {
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

    pub(crate) fn rules(&self) -> &DeadlinePlan {
        &self.rules
    }

    pub(crate) fn inner_mut(&mut self) -> &mut Readied<S> {
        &mut self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<DeadlineBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll(cx);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture<S, B> {
        let context = request.extensions().get::<call::Context>();
        let header = find(request.headers(), &TIMEOUT);
        let options = context.map_or(CallOptions::unset(), call::Context::options);
        if let Some(context) = context {
            context.seen_by(call::Reader::Deadline);
        }
        let is_known = context.is_some_and(|context| context.deadline().is_some());
        let terms = match self.rules.terms(header, options, is_known) {
            Ok(Some(terms)) => terms,
            Ok(None) => {
                let recorder = Recorder::if_outermost(&request);
                let attempt = self.inner.attempt(request, recorder.trace(), Instant::now);
                return ResponseFuture::passing(attempt, recorder);
            }
            Err(error) => {
                self.inner.hold_back(&request);
                let recorder = Recorder::of(&request);
                let error = recorder.decided(Some(request.uri().path()), error);
                return ResponseFuture::failed(error, recorder);
            }
        };
        let now = Instant::now();
        let context = call::Context::of(request.extensions_mut());
        let bound = terms.bind(context, now);
        let deadline = context.deadline();
        let recorder = Recorder::acting(&mut request, now);
        let rules = &self.rules;
        rules.write(&terms, deadline, request.headers_mut(), now);
        // A call that is over before it begins is never sent.
        if let Some(end) = bound.ended(now, recorder.trace()) {
            self.inner.hold_back(&request);
            return ResponseFuture::failed(end, recorder);
        }
        let bound = bound.at_home(self.rules.held_home());
        let guard = always_guard(&mut request);
        let attempt = self.inner.attempt(request, recorder.trace(), || now);
        ResponseFuture::bound(attempt, bound, recorder).guarding(guard)
    }
}
