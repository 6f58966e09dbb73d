use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::Instant;
use tower_service::Service;

use crate::events;
use crate::kernel::timer::Home;
use crate::methods::method_of;

use super::limits::Limits;
use super::refused::status;
use super::{ResponseFuture, ServerRateLimitBody};

/// The service of [`ServerRateLimitLayer`](super::ServerRateLimitLayer).
#[derive(Clone, Debug)]
pub struct ServerRateLimit<S> {
    inner: S,
    limits: Arc<Limits>,
    home: Home,
}

impl<S> ServerRateLimit<S> {
    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, without the layer.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }

    pub(super) fn new(inner: S, limits: Arc<Limits>) -> Self {
        Self {
            inner,
            limits,
            home: Home::here(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for ServerRateLimit<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<ServerRateLimitBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.home.note();
        let (mut parts, body) = request.into_parts();
        let now = Instant::now();
        match self.limits.check(&mut parts, now) {
            Ok(Duration::ZERO) => {
                let path = parts.uri.path_and_query().cloned();
                let request = Request::from_parts(parts, body);
                ResponseFuture::admitted(self.inner.call(request), path)
            }
            Ok(wait) => {
                let request = Request::from_parts(parts, body);
                // The clone that is ready waits with the request.
                let next = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, next);
                let until = now.checked_add(wait).unwrap_or(now);
                ResponseFuture::waiting(self.home.timer(until), ready, request)
            }
            Err(refusal) => {
                events::server::refused(method_of(parts.uri.path()), refusal.after);
                // No handler has seen it (CONTRACT I7).
                let status = status(refusal, self.limits.says_hints());
                ResponseFuture::refused(status.vouching_for(&parts.uri))
            }
        }
    }
}
