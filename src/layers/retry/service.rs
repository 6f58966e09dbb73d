use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::body::RequestBody;
use crate::call;
use crate::classify::Reason;
use crate::dispatch::{Passing, Readied, Recorder};
use crate::error::{BoxError, Error, GiveUp};
use crate::events;
use crate::grpc::{Code, TIMEOUT, find};
use crate::report::Phase;

use super::call::RetryCall;
use super::core::Core;
use super::last::is_first_the_last;
use super::settings::Settings;
use super::{NextAttempt, Policy, ResponseFuture, RetryBody};

/// The service of [`RetryLayer`](super::RetryLayer).
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: Readied<S>,
    start: Core<S>,
}

impl<S: Clone> Retry<S> {
    pub(super) fn new(inner: S, settings: Settings) -> Self {
        Self {
            start: Core::new(inner.clone(), settings),
            inner: Readied::new(inner),
        }
    }
}

impl<S: Clone> Retry<S> {
    pub(crate) fn start(&self) -> Core<S> {
        self.start.clone()
    }
}

impl<S> Retry<S> {
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

impl<S, B, R> Service<Request<B>> for Retry<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<RetryBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll(cx);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<S, B, R> {
        let settings = self.start.settings();
        settings.home.note();
        let policies = settings.policies.load();
        let policy = policies.of(request.uri().path());
        let context = request.extensions().get::<call::Context>();
        if let Some(context) = context {
            context.seen_by(call::Reader::Retry);
        }
        match why_passing(context, &**policy, self.start.settings()) {
            Some(why) => self.pass(request, why),
            None => self.retry(request, Arc::clone(policy)),
        }
    }
}

impl<S: Clone> Retry<S> {
    /// Starts a call that may be repeated.
    fn retry<B, R>(
        &mut self,
        mut request: Request<B>,
        policy: Arc<dyn Policy>,
    ) -> ResponseFuture<S, B, R>
    where
        S: Service<Request<B>>,
        B: RequestBody,
    {
        call::Context::caller_deadline(&mut request);
        let now = Instant::now();
        let recorder = Recorder::acting(&mut request, now);
        let context = call::Context::of(request.extensions_mut());
        if context.options().chosen_max_attempts() == Some(0) {
            self.inner.hold_back(&request);
            return ResponseFuture::failed(no_attempt(), recorder);
        }
        let kept = self.start.keep(request.body_mut());
        let context = call::Context::of(request.extensions_mut());
        context.begin_budget();
        context.set_attempt(1, kept.may_come_back());
        context.follow_no_more(is_first_the_last(context, &*policy, now));
        context.watch_loss(kept.recording.loss());
        if context.take_attempt_end() {
            let settings = self.start.settings();
            settings.bounded.say(events::attempt_timeout_above_retry);
        }
        let context = context.clone();
        let (mut call, preparing) = RetryCall::begun(&request, context, kept, policy);
        if let Some(preparing) = preparing {
            // The request is built again from the headers that the hook returns.
            self.inner.hold_back(&request);
            return ResponseFuture::preparing(preparing, call, recorder);
        }
        call.begin_first(request.headers_mut(), now);
        let first = self.inner.attempt(request, recorder.trace(), || now);
        ResponseFuture::retrying(first, call, recorder)
    }

    /// Starts a call that this layer does not repeat. The hook still runs.
    fn pass<B, R>(&mut self, mut request: Request<B>, why: Passing) -> ResponseFuture<S, B, R>
    where
        S: Service<Request<B>>,
        B: RequestBody,
    {
        if why != Passing::Nested {
            say_that_none_follows(&mut request);
        }
        let mut context = request.extensions_mut().get_mut::<call::Context>();
        // Every call counts, including those that are not retried.
        if let Some(context) = context.as_mut().filter(|_| why != Passing::Nested) {
            context.begin_budget();
        }
        let recorder = Recorder::of(&request).passing(why);
        let Some(hook) = &self.start.settings().hook else {
            let attempt = self.inner.attempt(request, recorder.trace(), Instant::now);
            return ResponseFuture::passing(attempt, recorder);
        };
        // The hook delays the request, so the remaining time is written again.
        call::Context::caller_deadline(&mut request);
        if let Some(trace) = recorder.trace() {
            trace.enter(Phase::Preparing);
        }
        let preparing = hook.prepare(NextAttempt::only(&request));
        self.inner.hold_back(&request);
        ResponseFuture::passing_prepared(preparing, self.start.service(), request, recorder)
    }
}

/// Why the layer passes the call through: an outer retry layer handles it, or it is not to be
/// retried. `None` if this layer handles it.
fn why_passing(
    context: Option<&call::Context>,
    policy: &dyn Policy,
    settings: &Settings,
) -> Option<Passing> {
    if let Some(context) = context.filter(|context| context.attempt().is_some()) {
        if !context.is_in_two_stacks() {
            settings.below_another.say(events::retry_below_retry);
        }
        return Some(Passing::Nested);
    }
    let never = context.is_some_and(|context| context.options().is_never_retried());
    (never || policy.is_off()).then_some(Passing::SwitchedOff)
}

/// Marks the only attempt as the last where a layer below needs it: if the call has a deadline
/// (CONTRACT D12). Other calls get no context.
fn say_that_none_follows<B>(request: &mut Request<B>) {
    let context = request.extensions_mut().get_mut::<call::Context>();
    if let Some(context) = context {
        context.follow_no_more(true);
    } else if find(request.headers(), &TIMEOUT).is_some() {
        call::Context::of(request.extensions_mut()).follow_no_more(true);
    }
}

fn no_attempt() -> Error {
    let message = "max_attempts(0): set at least 1, because it counts the first attempt";
    Error::local(Code::InvalidArgument, Reason::InvalidCall, message)
        .given_up(GiveUp::InvalidCall, 0)
}
