use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::body::RequestBody;
use crate::call::{self, Deadline};
use crate::classify::Reason;
use crate::dispatch::{Readied, Recorder, always_guard, guard};
use crate::error::{BoxError, Error, GiveUp};
use crate::grpc::{Code, TIMEOUT, find};
use crate::timer::Home;

use super::bound::Bound;
use super::{AttemptBody, AttemptTimeoutPolicy, ResponseFuture};

/// The service of [`AttemptTimeoutLayer`](super::AttemptTimeoutLayer).
#[derive(Clone, Debug)]
pub struct AttemptTimeout<S> {
    inner: Readied<S>,
    policy: AttemptTimeoutPolicy,
    home: Home,
}

impl<S: Clone> AttemptTimeout<S> {
    pub(super) fn new(inner: S, policy: AttemptTimeoutPolicy) -> Self {
        Self {
            inner: Readied::new(inner),
            policy,
            home: Home::here(),
        }
    }
}

/// What stands below it.
#[cfg(feature = "stack")]
impl<S> AttemptTimeout<S> {
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
        self.home.note();
        let context = request.extensions().get::<call::Context>();
        let timeout = match self.policy.timeout(context.map(call::Context::options)) {
            None => {
                let recorder = Recorder::if_outermost(context);
                let attempt = self.inner.attempt(request, recorder.trace(), Instant::now);
                return ResponseFuture::new(attempt, None, recorder);
            }
            Some(Duration::ZERO) => {
                self.inner.release();
                return ResponseFuture::failed(no_time(), Recorder::of(context));
            }
            Some(timeout) => timeout,
        };
        let recorder = Recorder::of(context);
        let bound = self.bind(&mut request, timeout);
        let guard = match &bound {
            // A retry layer does not end the request once the head has come.
            Some(bound) if bound.covers_first_message() => always_guard(&mut request),
            Some(_) => guard(&mut request),
            None => None,
        };
        let attempt = self.inner.attempt(request, recorder.trace(), Instant::now);
        ResponseFuture::new(attempt, bound, recorder).guarding(guard)
    }
}

impl<S> AttemptTimeout<S> {
    /// Writes the end of the attempt into the request's context and header, if it has one of its own.
    fn bind<B>(&self, request: &mut Request<B>, timeout: Duration) -> Option<Bound> {
        let deadline = call::Context::caller_deadline(request);
        // A malformed header is the server's to refuse, so it stays.
        let is_malformed = deadline.is_none() && find(request.headers(), &TIMEOUT).is_some();
        let now = Instant::now();
        let remaining = deadline.map(|deadline| deadline.remaining(now));
        if is_malformed || !self.policy.bounds(timeout, remaining) {
            return None;
        }
        let end = Deadline::after(now, timeout);
        let context = call::Context::of(request.extensions_mut());
        context.bound(end);
        let trace = context.trace().cloned();
        end.stamp(request.headers_mut(), now);
        let timer = self.home.timer(end.at());
        Some(Bound::new(
            end,
            timer,
            trace,
            self.policy.until_first_message,
        ))
    }
}

fn no_time() -> Error {
    let message = "attempt_timeout(0): an attempt needs more time than none";
    Error::local(Code::InvalidArgument, Reason::InvalidCall, message)
        .given_up(GiveUp::InvalidCall, 0)
}
