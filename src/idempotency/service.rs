use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use crate::call;
use crate::grpc::{is_method, method_of};

use super::IdempotencyPolicy;
use super::called::Called;

/// The service of [`IdempotencyLayer`](super::IdempotencyLayer).
#[derive(Clone, Debug)]
pub struct Idempotency<S> {
    inner: S,
    policy: Arc<IdempotencyPolicy>,
    called: Arc<Called>,
}

impl<S> Idempotency<S> {
    pub(super) fn new(inner: S, policy: Arc<IdempotencyPolicy>, called: Arc<Called>) -> Self {
        Self {
            inner,
            policy,
            called,
        }
    }

    fn declare<B>(&self, request: &mut Request<B>) {
        let method = method_of(request.uri().path());
        let said = self.policy.find(method);
        if said.safety.is_none() && !said.is_described && self.policy.is_described() {
            let context = request.extensions().get::<call::Context>();
            if context.is_none_or(|context| context.stated_safety().is_none()) && is_method(method)
            {
                self.called.note(method);
            }
        }
        if said.safety.is_some() || said.kind.is_some() {
            let context = call::Context::of(request.extensions_mut());
            if let Some((safety, _)) = said.safety {
                context.declare(safety);
            }
            if let Some((kind, _)) = said.kind {
                context.declare_kind(kind);
            }
        }
    }
}

impl<S, B> Service<Request<B>> for Idempotency<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.declare(&mut request);
        self.inner.call(request)
    }
}
