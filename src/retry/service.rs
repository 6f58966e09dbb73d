use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::{Capture, RequestBody, capture};
use crate::call;
use crate::classify::Reason;
use crate::dispatch::{Attempt, Readied};
use crate::error::{BoxError, Error, GiveUp};
use crate::grpc::{Code, MethodKind};
use crate::rng::Rng;

use super::call::RetryCall;
use super::{ResponseFuture, RetryBody, RetryPolicy};

/// The service of [`RetryLayer`](super::RetryLayer).
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: Readied<S>,
    policy: Arc<RetryPolicy>,
    replay_limit: usize,
    rng: Rng,
}

impl<S: Clone> Retry<S> {
    pub(super) fn new(inner: S, policy: Arc<RetryPolicy>, replay_limit: usize, rng: Rng) -> Self {
        Self {
            inner: Readied::new(inner),
            policy,
            replay_limit,
            rng,
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
        if stands_back(&request) {
            return ResponseFuture::passing(Attempt::new(lease, request));
        }
        let (mut parts, body) = request.into_parts();
        let captured = match capture(body, self.replay_limit) {
            Capture::Whole(captured) => captured,
            Capture::Once(body) => {
                let request = Request::from_parts(parts, body);
                return ResponseFuture::passing(Attempt::new(lease, request));
            }
        };
        call::Context::caller_deadline(&mut parts);
        let context = call::Context::of(&mut parts.extensions);
        if context.options().chosen_max_attempts() == Some(0) {
            return ResponseFuture::failed(no_attempt());
        }
        let policy = self.policy.tuned(context);
        let rng = self.rng.clone();
        let mut call = RetryCall::new(lease.spare(), parts, captured, policy, rng);
        let first = Attempt::new(lease, call.next_request());
        ResponseFuture::retrying(first, call)
    }
}

/// Nothing to do: the caller said so, a retry layer further out has the call in hand, or the request
/// is a stream, even one that looks complete.
fn stands_back<B>(request: &Request<B>) -> bool {
    let context = request.extensions().get::<call::Context>();
    context.is_some_and(|context| {
        context.options().is_never_retried()
            || context.attempt().is_some()
            || context.kind().is_some_and(MethodKind::asks_in_a_stream)
    })
}

fn no_attempt() -> Error {
    let message = "max_attempts(0): a call needs at least one attempt";
    Error::local(Code::InvalidArgument, Reason::InvalidCall, message)
        .given_up(GiveUp::InvalidCall, 0)
}
