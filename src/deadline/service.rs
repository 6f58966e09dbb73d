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
        let options = context.map_or(&CallOptions::UNSET, call::Context::options);
        let known = context.and_then(call::Context::deadline);
        let terms = match self.terms(header, options, known) {
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
        let (bound, header) = self.bind(&terms, context, now);
        let recorder = Recorder::acting(context, now);
        if let Some(header) = header {
            request.headers_mut().insert(TIMEOUT, header);
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

/// What ends a call.
pub(crate) struct Terms {
    /// The caller's `grpc-timeout`.
    stated: Option<Duration>,
    timeout: Option<Duration>,
    served: Option<Served>,
}

impl Terms {
    /// Whether it is over by now, before it began.
    #[cfg(feature = "stack")]
    fn have_ended(&self, now: Instant) -> bool {
        let is_late = |served: &Served| served.deadline().is_some_and(|it| it.at() <= now);
        let is_over = |served: &Served| served.is_over() || is_late(served);
        self.timeout.is_some_and(|it| it.is_zero()) || self.served.as_ref().is_some_and(is_over)
    }
}

impl<S> DeadlineService<S> {
    /// By the caller's `grpc-timeout` and options, and what bounds the call already; `None` if nothing does.
    #[inline]
    fn terms(
        &self,
        header: Option<&HeaderValue>,
        options: &CallOptions,
        known: Option<Deadline>,
    ) -> Result<Option<Terms>, Error> {
        let header = header.map(|value| parse_timeout(value.as_bytes()));
        let header = header.transpose().map_err(malformed)?;
        let timeout = self.policy.timeout(header, options);
        let served = options.inherited().cloned().or_else(Served::current);
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

    /// Writes the deadline into the context, if the call has one; what the request's `grpc-timeout` is to say,
    /// if it does not say that already.
    #[inline]
    pub(crate) fn bind(
        &self,
        terms: &Terms,
        context: &mut call::Context,
        now: Instant,
    ) -> (Bound, Option<HeaderValue>) {
        if let Some(timeout) = terms.timeout {
            context.bound(Deadline::after(now, timeout));
        }
        if let Some(inherited) = terms.served.as_ref().and_then(Served::deadline) {
            context.bound(inherited);
        }
        let deadline = context.deadline();
        let stated = terms.stated.map(|timeout| Deadline::after(now, timeout));
        let header = deadline.filter(|it| Some(*it) != stated);
        let header = header.map(|deadline| self.header(deadline, now));
        (Bound::new(deadline, terms.served.as_ref()), header)
    }

    /// The `grpc-timeout` of a request that goes now.
    #[inline]
    fn header(&self, deadline: Deadline, now: Instant) -> HeaderValue {
        let rendered = self.rendered.as_ref();
        let rendered = rendered.and_then(|rendered| rendered.of(deadline, now));
        rendered.unwrap_or_else(|| render_timeout(deadline.remaining(now)))
    }
}

/// What ends an ordinary call.
#[cfg(feature = "stack")]
pub(crate) enum EndsBy {
    Itself,
    Timeout {
        timeout: Duration,
        /// Whether the caller's `grpc-timeout` says the same.
        is_stated: bool,
    },
    /// The call that it is made for, too.
    Served(Box<Terms>),
}

#[cfg(feature = "stack")]
impl<S> DeadlineService<S> {
    /// What ends a call that nothing further out bounds; `None` if it fails at once.
    #[inline]
    pub(crate) fn end_of(
        &self,
        header: Option<&HeaderValue>,
        options: &CallOptions,
        now: Instant,
    ) -> Option<EndsBy> {
        if options.inherited().is_some() || Served::is_running() {
            return self.end_of_served(header, options, now);
        }
        let header = header.map(|value| parse_timeout(value.as_bytes()));
        let header = header.transpose().ok()?;
        match self.policy.timeout(header, options) {
            Some(timeout) if !timeout.is_zero() => Some(EndsBy::Timeout {
                timeout,
                is_stated: header == Some(timeout),
            }),
            None if self.policy.allows_none(options) => Some(EndsBy::Itself),
            _ => None,
        }
    }

    #[cold]
    fn end_of_served(
        &self,
        header: Option<&HeaderValue>,
        options: &CallOptions,
        now: Instant,
    ) -> Option<EndsBy> {
        let terms = self.terms(header, options, None).ok()??;
        (!terms.have_ended(now)).then(|| EndsBy::Served(Box::new(terms)))
    }

    /// The `grpc-timeout` of a request that goes now, with this timeout.
    #[inline]
    pub(crate) fn whole_header(&self, timeout: Duration, deadline: Deadline) -> HeaderValue {
        let rendered = self.rendered.as_ref();
        let rendered = rendered.and_then(|rendered| rendered.whole(timeout));
        rendered.unwrap_or_else(|| render_timeout(deadline.timeout()))
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
