use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::call;
use crate::classify::Reason;
use crate::dispatch::{Attempt, Readied, Recorder};
use crate::error::{BoxError, Error, GiveUp};
use crate::grpc::{Code, InvalidTimeout, TIMEOUT, parse_timeout};

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
        match bound {
            Ok(Some(bound)) if bound.has_passed() => {
                ResponseFuture::failed(bound.expired(), recorder)
            }
            Ok(bound) => {
                let attempt = Attempt::new(self.inner.take(), request);
                ResponseFuture::new(attempt, bound, recorder)
            }
            Err(invalid) => ResponseFuture::failed(malformed(invalid), recorder),
        }
    }
}

impl<S> DeadlineService<S> {
    /// Writes the deadline into the request's context and header, if the call has one.
    fn bind<B>(&self, request: &mut Request<B>) -> Result<Option<Bound>, InvalidTimeout> {
        let header = request
            .headers()
            .get(TIMEOUT)
            .map(|value| parse_timeout(value.as_bytes()))
            .transpose()?;
        let found = request.extensions().get::<call::Context>();
        let timeout = match found {
            Some(context) => self.policy.timeout(header, context.options()),
            None => self.policy.timeout(header, &call::CallOptions::default()),
        };
        if timeout.is_none() && found.and_then(call::Context::deadline).is_none() {
            return Ok(None);
        }
        let now = Instant::now();
        let context = call::Context::of(request.extensions_mut());
        if let Some(timeout) = timeout {
            context.bound(call::Deadline::after(now, timeout));
        }
        let trace = context.listen();
        let Some(deadline) = context.deadline() else {
            return Ok(None);
        };
        deadline.stamp(request.headers_mut(), now);
        Ok(Some(Bound::new(deadline, trace, now)))
    }
}

fn malformed(invalid: InvalidTimeout) -> Error {
    Error::local(Code::Internal, Reason::InvalidCall, invalid.to_string())
        .given_up(GiveUp::InvalidCall, 0)
}
