use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::{Recording, RequestBody};
use crate::call;
use crate::classify::Reason;
use crate::dispatch::{Attempt, Readied};
use crate::error::{BoxError, Error, GiveUp};
use crate::grpc::{Code, method_of};

use super::call::RetryCall;
use super::settings::Settings;
use super::{NextAttempt, ResponseFuture, RetryBody};

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

    fn call(&mut self, request: Request<B>) -> ResponseFuture<S, B, R> {
        let lease = self.inner.take();
        let policy = self.settings.policies.of(method_of(request.uri().path()));
        if policy.is_off() || stands_back(&request) {
            let Some(hook) = &self.settings.hook else {
                return ResponseFuture::passing(Attempt::new(lease, request));
            };
            // The hook delays the request, so what is left is written anew.
            let (mut parts, body) = request.into_parts();
            call::Context::caller_deadline(&mut parts);
            let request = Request::from_parts(parts, body);
            let preparing = hook.prepare(NextAttempt::only(&request));
            return ResponseFuture::passing_prepared(preparing, lease.spare(), request);
        }
        let (mut parts, body) = request.into_parts();
        call::Context::caller_deadline(&mut parts);
        let context = call::Context::of(&mut parts.extensions);
        if context.options().chosen_max_attempts() == Some(0) {
            return ResponseFuture::failed(no_attempt());
        }
        let settings = Arc::clone(&self.settings);
        let recording = Recording::new(body, settings.replay_limit, &settings.replay_buffer);
        let mut call = RetryCall::new(lease.spare(), parts, recording, policy, settings);
        match call.begin() {
            Some(preparing) => ResponseFuture::preparing(preparing, call),
            None => ResponseFuture::retrying(Attempt::new(lease, call.request(None)), call),
        }
    }
}

/// Nothing to do: the caller said so, or a retry layer further out has the call in hand.
fn stands_back<B>(request: &Request<B>) -> bool {
    let context = request.extensions().get::<call::Context>();
    context
        .is_some_and(|context| context.options().is_never_retried() || context.attempt().is_some())
}

fn no_attempt() -> Error {
    let message = "max_attempts(0): a call needs at least one attempt";
    Error::local(Code::InvalidArgument, Reason::InvalidCall, message)
        .given_up(GiveUp::InvalidCall, 0)
}
