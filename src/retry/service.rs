use std::sync::{Arc, Once};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::{Recording, RequestBody};
use crate::call;
use crate::classify::Reason;
use crate::dispatch::{Attempt, Lease, Readied, Recorder};
use crate::error::{BoxError, Error, GiveUp};
use crate::grpc::Code;
use crate::report::Phase;

use super::call::RetryCall;
use super::settings::Settings;
use super::{NextAttempt, Policy, ResponseFuture, RetryBody};

static NESTED: Once = Once::new();

/// The service of [`RetryLayer`](super::RetryLayer).
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: Readied<S>,
    settings: Arc<Settings>,
}

impl<S: Clone> Retry<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self {
            inner: Readied::new(inner),
            settings,
        }
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

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture<S, B, R> {
        let lease = self.inner.take();
        let policy = self.settings.policies.of(request.uri().path());
        if let Some(reason) = why_passing(&request, &*policy) {
            // Every call counts, those too that are not retried.
            if reason != GiveUp::Nested
                && let Some(context) = request.extensions_mut().get_mut::<call::Context>()
            {
                context.begin();
            }
            return self.pass(lease, request, reason);
        }
        let (mut parts, body) = request.into_parts();
        call::Context::caller_deadline(&mut parts);
        let context = call::Context::of(&mut parts.extensions);
        let trace = context.listen();
        if context.options().chosen_max_attempts() == Some(0) {
            return ResponseFuture::failed(no_attempt(), Recorder::of(&parts.extensions));
        }
        context.begin();
        let recorder = Recorder::of(&parts.extensions);
        let settings = Arc::clone(&self.settings);
        let recording = Recording::new(body, settings.replay_limit, &settings.replay_buffer);
        let mut call = RetryCall::new(lease.spare(), parts, recording, policy, settings, trace);
        if let Some(preparing) = call.begin() {
            return ResponseFuture::preparing(preparing, call, recorder);
        }
        let first = Attempt::new(lease, call.request(None));
        ResponseFuture::retrying(first, call, recorder)
    }
}

impl<S: Clone> Retry<S> {
    /// A call that this layer does not repeat; the hook runs for it all the same.
    fn pass<B, R>(
        &self,
        lease: Lease<S>,
        request: Request<B>,
        reason: GiveUp,
    ) -> ResponseFuture<S, B, R>
    where
        S: Service<Request<B>>,
        B: RequestBody,
    {
        let recorder = Recorder::of(request.extensions()).passing(reason);
        let Some(hook) = &self.settings.hook else {
            return ResponseFuture::passing(Attempt::new(lease, request), recorder);
        };
        // The hook delays the request, so what is left is written anew.
        let (mut parts, body) = request.into_parts();
        call::Context::caller_deadline(&mut parts);
        let request = Request::from_parts(parts, body);
        let context = request.extensions().get::<call::Context>();
        if let Some(trace) = context.and_then(call::Context::trace) {
            trace.enter(Phase::Preparing);
        }
        let preparing = hook.prepare(NextAttempt::only(&request));
        ResponseFuture::passing_prepared(preparing, lease.spare(), request, recorder)
    }
}

/// Why there is nothing to do, if so: a retry layer further out has the call in hand, or it is not
/// to be retried.
fn why_passing<B>(request: &Request<B>, policy: &dyn Policy) -> Option<GiveUp> {
    let context = request.extensions().get::<call::Context>();
    if context.is_some_and(|context| context.attempt().is_some()) {
        NESTED.call_once(|| {
            tracing::warn!(
                "a RetryLayer stands below another: it lets its calls pass, or attempts would \
                 multiply; remove one of them (said once)"
            );
        });
        return Some(GiveUp::Nested);
    }
    let never = context.is_some_and(|context| context.options().is_never_retried());
    (never || policy.is_off()).then_some(GiveUp::SwitchedOff)
}

fn no_attempt() -> Error {
    let message = "max_attempts(0): a call needs at least one attempt";
    Error::local(Code::InvalidArgument, Reason::InvalidCall, message)
        .given_up(GiveUp::InvalidCall, 0)
}
