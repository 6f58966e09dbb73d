use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::call::{self, CallOptions, Deadline, Served};
use crate::classify::Reason;
use crate::dispatch::{Readied, Recorder};
use crate::error::{BoxError, Error, GiveUp};
use crate::grpc::{Code, InvalidTimeout, TIMEOUT, find, parse_timeout, render_timeout};

use super::bound::Bound;
use super::rendered::Rendered;
use super::{DeadlineBody, DeadlinePolicy, ResponseFuture};

/// The service of [`DeadlineLayer`](super::DeadlineLayer).
#[derive(Clone, Debug)]
pub struct DeadlineService<S> {
    inner: Readied<S>,
    policy: DeadlinePolicy,
    rendered: Option<Rendered>,
}

impl<S: Clone> DeadlineService<S> {
    pub(super) fn new(inner: S, policy: DeadlinePolicy) -> Self {
        Self {
            inner: Readied::new(inner),
            policy,
            rendered: policy.default_timeout().map(Rendered::new),
        }
    }
}

/// What stands below it.
#[cfg(feature = "stack")]
impl<S> DeadlineService<S> {
    pub(crate) fn inner_mut(&mut self) -> &mut Readied<S> {
        &mut self.inner
    }
}

impl<S, B, R> Service<Request<B>> for DeadlineService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
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
        let terms = match self.terms(header, context) {
            Ok(Some(terms)) => terms,
            Ok(None) => {
                let recorder = Recorder::if_outermost(context);
                let attempt = self.inner.attempt(request, recorder.trace(), Instant::now);
                return ResponseFuture::passing(attempt, recorder);
            }
            Err(error) => {
                self.inner.release();
                return ResponseFuture::failed(error, Recorder::of(context));
            }
        };
        let now = Instant::now();
        let context = call::Context::of(request.extensions_mut());
        let stated = terms.stated.map(|timeout| Deadline::after(now, timeout));
        let bound = terms.bind(context, now);
        let recorder = Recorder::acting(context, now);
        // The caller's own word stays as it is.
        if let Some(deadline) = context.deadline().filter(|it| Some(*it) != stated) {
            let timeout = self.header(deadline, now);
            request.headers_mut().insert(TIMEOUT, timeout);
        }
        // What is over before it began is never sent.
        if let Some(end) = bound.ended(now, recorder.trace()) {
            self.inner.release();
            return ResponseFuture::failed(end, recorder);
        }
        let attempt = self.inner.attempt(request, recorder.trace(), || now);
        ResponseFuture::bound(attempt, bound, recorder)
    }
}

/// What ends a call, if that is simple.
#[cfg(feature = "stack")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndsBy {
    Itself,
    Timeout {
        timeout: Duration,
        /// Whether the caller's `grpc-timeout` says the same.
        is_stated: bool,
    },
    /// The call that it is made for; or it fails at once.
    Else,
}

/// What ends a call.
struct Terms {
    /// The caller's `grpc-timeout`.
    stated: Option<Duration>,
    timeout: Option<Duration>,
    served: Option<Served>,
}

impl<S> DeadlineService<S> {
    /// By the caller's `grpc-timeout` and the context; `None` if nothing does.
    #[inline]
    fn terms(
        &self,
        header: Option<&HeaderValue>,
        context: Option<&call::Context>,
    ) -> Result<Option<Terms>, Error> {
        let header = header.map(|value| parse_timeout(value.as_bytes()));
        let header = header.transpose().map_err(malformed)?;
        let options = context.map_or(&CallOptions::UNSET, call::Context::options);
        let timeout = self.policy.timeout(header, options);
        let served = options.inherited().cloned().or_else(Served::current);
        let known = context.and_then(call::Context::deadline);
        let inherited = served.as_ref().and_then(Served::deadline);
        let is_bounded = timeout.is_some() || inherited.is_some() || known.is_some();
        if !is_bounded && !self.policy.allows_none(options) {
            return Err(missing());
        }
        if !is_bounded && served.is_none() {
            return Ok(None);
        }
        Ok(Some(Terms {
            stated: header,
            timeout,
            served,
        }))
    }

    /// What ends a call that nothing further out bounds, and that the running task does not serve another
    /// with.
    #[cfg(feature = "stack")]
    #[inline]
    pub(crate) fn end_of(&self, header: Option<&HeaderValue>, options: &CallOptions) -> EndsBy {
        let header = header.map(|value| parse_timeout(value.as_bytes()));
        let (Ok(header), None) = (header.transpose(), options.inherited()) else {
            return EndsBy::Else;
        };
        match self.policy.timeout(header, options) {
            Some(timeout) if !timeout.is_zero() => EndsBy::Timeout {
                timeout,
                is_stated: header == Some(timeout),
            },
            None if self.policy.allows_none(options) => EndsBy::Itself,
            _ => EndsBy::Else,
        }
    }

    /// The `grpc-timeout` of a request that goes now, with this timeout.
    #[cfg(feature = "stack")]
    #[inline]
    pub(crate) fn whole_header(&self, timeout: Duration, deadline: Deadline) -> HeaderValue {
        let rendered = self.rendered.as_ref();
        let rendered = rendered.and_then(|rendered| rendered.whole(timeout));
        rendered.unwrap_or_else(|| render_timeout(deadline.timeout()))
    }

    /// The `grpc-timeout` of a request that goes now.
    #[inline]
    fn header(&self, deadline: Deadline, now: Instant) -> HeaderValue {
        let rendered = self.rendered.as_ref();
        let rendered = rendered.and_then(|rendered| rendered.of(deadline, now));
        rendered.unwrap_or_else(|| render_timeout(deadline.remaining(now)))
    }
}

impl Terms {
    /// Writes the deadline into the request's context, if the call has one.
    #[inline]
    fn bind(self, context: &mut call::Context, now: Instant) -> Bound {
        if let Some(timeout) = self.timeout {
            context.bound(Deadline::after(now, timeout));
        }
        if let Some(inherited) = self.served.as_ref().and_then(Served::deadline) {
            context.bound(inherited);
        }
        Bound::new(context.deadline(), self.served.as_ref())
    }
}

fn missing() -> Error {
    let message = "the call has no deadline, and the layer forbids that: set a timeout, or say \
                   call_options().no_timeout()";
    Error::local(Code::InvalidArgument, Reason::InvalidCall, message)
        .given_up(GiveUp::InvalidCall, 0)
}

fn malformed(invalid: InvalidTimeout) -> Error {
    Error::local(Code::Internal, Reason::InvalidCall, invalid.to_string())
        .given_up(GiveUp::InvalidCall, 0)
}
