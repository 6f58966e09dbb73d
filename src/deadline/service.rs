use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::call::{self, Served};
use crate::classify::Reason;
use crate::dispatch::{Attempt, Readied, Recorder};
use crate::error::{BoxError, Error, GiveUp};
use crate::grpc::{Code, InvalidTimeout, TIMEOUT, find, parse_timeout};

use super::bound::Bound;
use super::{DeadlineBody, DeadlinePolicy, ResponseFuture};

/// The service of [`DeadlineLayer`](super::DeadlineLayer).
#[derive(Clone, Debug)]
pub struct DeadlineService<S> {
    inner: Readied<S>,
    policy: DeadlinePolicy,
}

impl<S: Clone> DeadlineService<S> {
    pub(super) fn new(inner: S, policy: DeadlinePolicy) -> Self {
        Self {
            inner: Readied::new(inner),
            policy,
        }
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
        let bound = self.bind(&mut request);
        let recorder = Recorder::of(request.extensions());
        let bound = match bound {
            Ok(bound) => bound,
            Err(error) => return ResponseFuture::failed(error, recorder),
        };
        // What is over before it began is never sent.
        if let Some(end) = bound.as_ref().and_then(Bound::ended) {
            return ResponseFuture::failed(end, recorder);
        }
        let attempt = Attempt::new(self.inner.take(), request);
        ResponseFuture::new(attempt, bound, recorder)
    }
}

impl<S> DeadlineService<S> {
    /// Writes the deadline into the request's context and header, if the call has one.
    fn bind<B>(&self, request: &mut Request<B>) -> Result<Option<Bound>, Error> {
        let header = find(request.headers(), &TIMEOUT);
        let header = header.map(|value| parse_timeout(value.as_bytes()));
        let header = header.transpose().map_err(malformed)?;
        let unset = call::CallOptions::default();
        let context = request.extensions().get::<call::Context>();
        let options = context.map_or(&unset, call::Context::options);
        let timeout = self.policy.timeout(header, options);
        let served = options.inherited().cloned().or_else(Served::current);
        let inherited = served.as_ref().and_then(Served::deadline);
        let known = context.and_then(call::Context::deadline);
        let is_bounded = timeout.is_some() || inherited.is_some() || known.is_some();
        if !is_bounded && !self.policy.allows_none(options) {
            return Err(missing());
        }
        if !is_bounded && served.is_none() {
            return Ok(None);
        }
        let now = Instant::now();
        let context = call::Context::of(request.extensions_mut());
        let own = timeout.map(|timeout| call::Deadline::after(now, timeout));
        for deadline in own.into_iter().chain(inherited) {
            context.bound(deadline);
        }
        let trace = context.listen();
        let deadline = context.deadline();
        if let Some(deadline) = deadline {
            deadline.stamp(request.headers_mut(), now);
        }
        Ok(Some(Bound::new(deadline, served.as_ref(), trace)))
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
