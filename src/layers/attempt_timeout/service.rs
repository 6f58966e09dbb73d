use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::body::RequestBody;
use crate::call::{self, AttemptEnd, Timeout};
use crate::classify::Reason;
use crate::dispatch::{Readied, Recorder, always_guard, guard};
use crate::error::{BoxError, Error, GiveUp};
use crate::events;
use crate::grpc::{Code, TIMEOUT, find};
use crate::kernel::timer::Home;

use super::attempt_timer::AttemptTimer;
use super::{AttemptBody, AttemptTimeoutPolicy, ResponseFuture};

/// The service of [`AttemptTimeoutLayer`](super::AttemptTimeoutLayer).
#[derive(Clone, Debug)]
pub struct AttemptTimeout<S> {
    inner: Readied<S>,
    policy: AttemptTimeoutPolicy,
    home: Home,
    told: Arc<Told>,
}

/// The warnings about the layer's place and its timeouts that were emitted.
#[derive(Debug, Default)]
struct Told {
    below_another: events::Once,
    timeout: events::Once,
    option: events::Once,
}

impl<S: Clone> AttemptTimeout<S> {
    pub(super) fn new(inner: S, policy: AttemptTimeoutPolicy) -> Self {
        Self {
            inner: Readied::new(inner),
            policy,
            home: Home::here(),
            told: Arc::default(),
        }
    }
}

impl<S> AttemptTimeout<S> {
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

    pub(crate) fn inner_mut(&mut self) -> &mut Readied<S> {
        &mut self.inner
    }
}

impl<S, B, R> Service<Request<B>> for AttemptTimeout<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<AttemptBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll(cx);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture<S, B> {
        let context = request.extensions().get::<call::Context>();
        if let Some(context) = context {
            context.seen_by(call::Reader::AttemptTimeout);
        }
        let timeout = match self.policy.timeout(context.map(call::Context::options)) {
            None => {
                let recorder = Recorder::if_outermost(&request);
                let attempt = self.inner.attempt(request, recorder.trace(), Instant::now);
                return ResponseFuture::new(attempt, None, recorder);
            }
            Some(Duration::ZERO) => {
                self.inner.hold_back(&request);
                let recorder = Recorder::of(&request);
                let error = recorder.decided(Some(request.uri().path()), no_time());
                return ResponseFuture::failed(error, recorder);
            }
            Some(timeout) => timeout,
        };
        self.home.note();
        let recorder = Recorder::of(&request);
        let bound = self.bind(&mut request, timeout);
        let guard = match &bound {
            // A retry layer does not end the request once the head has arrived.
            Some(bound) if bound.covers_first_message() => always_guard(&mut request),
            Some(_) => guard(&mut request),
            None => None,
        };
        let is_followed = bound.is_none() || recorder.trace().is_some();
        let path = request.uri().path_and_query();
        let path = path.filter(|_| !is_followed).cloned();
        let attempt = self.inner.attempt(request, recorder.trace(), Instant::now);
        ResponseFuture::new(attempt, bound, recorder)
            .guarding(guard)
            .naming(path)
    }
}

impl<S> AttemptTimeout<S> {
    /// Bounds the attempt, unless the call's deadline does. Writes the end for the server into the
    /// request's context and header.
    fn bind<B>(&self, request: &mut Request<B>, timeout: Duration) -> Option<AttemptTimer> {
        let context = request.extensions().get::<call::Context>();
        if context.is_some_and(|it| it.ends_as_attempt() && !it.is_in_two_stacks()) {
            let told = &self.told.below_another;
            told.say(events::attempt_timeout_below_another);
        }
        let is_default = context.is_some_and(call::Context::ends_by_default);
        let options = context.map(call::Context::options);
        let is_own = options.is_some_and(|it| it.chosen_attempt_timeout() != Timeout::Inherited);
        let deadline = call::Context::caller_deadline(request);
        if let Some(deadline) = deadline.filter(|it| is_default && timeout >= it.timeout()) {
            self.has_no_effect(timeout, deadline.timeout(), is_own);
        }
        // The server refuses a malformed header, so it stays.
        let is_malformed = deadline.is_none() && find(request.headers(), &TIMEOUT).is_some();
        let now = Instant::now();
        let remaining = deadline.map(|deadline| deadline.remaining(now));
        let context = call::Context::of(request.extensions_mut());
        let (is_last, kind) = (context.is_last_attempt(), context.kind());
        let bounds = self.policy.bound(timeout, remaining, is_last, kind);
        let bounds = bounds.filter(|_| !is_malformed)?;
        let loss = context.loss().filter(|_| remaining.is_some()).cloned();
        let trace = context.trace().cloned();
        let covers_message = bounds.is_told || bounds.until_first_message;
        let end = AttemptEnd::new(now, timeout, deadline).covering(bounds.is_told, covers_message);
        let end = Arc::new(end.until_lost(loss));
        if deadline.is_none() && context.attempt().is_none() {
            end.include_waits();
        }
        context.end_as_attempt(Arc::clone(&end));
        if let Some(told) = end.deadline().filter(|_| bounds.is_told) {
            context.bound(told);
            told.stamp(request.headers_mut(), now);
        }
        let until_first_message = bounds.until_first_message;
        let timer = AttemptTimer::new(end, &self.home, until_first_message);
        Some(timer.with(trace))
    }
}

impl<S> AttemptTimeout<S> {
    /// Warns once that a timeout (the call's own, or else the layer's) ends no attempt, because the
    /// default timeout of calls ends the call first.
    #[cold]
    fn has_no_effect(&self, timeout: Duration, default: Duration, is_own: bool) {
        let told = if is_own {
            &self.told.option
        } else if self.policy.is_compared {
            return;
        } else {
            &self.told.timeout
        };
        told.say(|| events::attempt_timeout_without_effect(timeout, default));
    }
}

fn no_time() -> Error {
    let message = "attempt_timeout(0): the attempt timeout must be greater than zero";
    Error::local(Code::InvalidArgument, Reason::InvalidCall, message)
        .given_up(GiveUp::InvalidCall, 0)
}
