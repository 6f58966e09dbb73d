use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use crate::call;
use crate::grpc::method_of;

use super::IdempotencyPolicy;

/// The service of [`IdempotencyLayer`](super::IdempotencyLayer).
#[derive(Clone, Debug)]
pub struct Idempotency<S> {
    inner: S,
    policy: Arc<IdempotencyPolicy>,
}

impl<S> Idempotency<S> {
    pub(super) fn new(inner: S, policy: Arc<IdempotencyPolicy>) -> Self {
        Self { inner, policy }
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
        let method = method_of(request.uri().path());
        let safety = self.policy.safety(method);
        let kind = self.policy.kind(method);
        if safety.is_some() || kind.is_some() {
            let context = call::Context::of(request.extensions_mut());
            if let Some(safety) = safety {
                context.declare(safety);
            }
            if let Some(kind) = kind {
                context.declare_kind(kind);
            }
        }
        self.inner.call(request)
    }
}
