use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use crate::call;
use crate::events;
use crate::methods::{is_method, method_of};

use super::called::Called;
use super::policy::Declared;
use super::{IdempotencyKey, IdempotencyPolicy};

/// The service of [`IdempotencyLayer`](super::IdempotencyLayer).
#[derive(Clone, Debug)]
pub struct Idempotency<S> {
    inner: S,
    policy: Arc<IdempotencyPolicy>,
    called: Arc<Called>,
}

impl<S> Idempotency<S> {
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

    pub(super) fn new(inner: S, policy: Arc<IdempotencyPolicy>, called: Arc<Called>) -> Self {
        Self {
            inner,
            policy,
            called,
        }
    }

    /// Writes the declaration of the method of this path, for calls without a key.
    #[inline]
    pub(crate) fn declare(&self, path: &str, context: &mut call::Context) {
        if !self.policy.is_silent() {
            let said = self.said(path, Some(context), None, None);
            said.write(context);
        }
    }

    /// Whether calls of the method of this path get a key.
    #[inline]
    pub(crate) fn has_key(&self, path: &str) -> bool {
        self.policy.key(path).is_some()
    }

    /// Whether [`declare`](Self::declare) writes one result for all calls of the method of this
    /// path that have no options of their own.
    pub(crate) fn says_the_same(&self, path: &str) -> bool {
        self.policy.is_fixed(path)
    }

    /// The declaration of the method of this path, with its warnings. `key` is configured for the
    /// method; `carried` is that key if the request carries it.
    fn said<'a>(
        &'a self,
        path: &str,
        context: Option<&call::Context>,
        key: Option<&IdempotencyKey>,
        carried: Option<&'a IdempotencyKey>,
    ) -> Declared<'a> {
        let said = self.policy.find(path, carried);
        let is_stated = context.and_then(call::Context::stated_safety).is_some();
        let is_known = said.safety.is_some() || is_stated || said.is_described;
        if !is_known && key.and_then(IdempotencyKey::promotion).is_none() {
            self.note(method_of(path));
        }
        let is_misplaced =
            is_late(context) && !context.is_some_and(call::Context::is_in_two_stacks);
        if is_misplaced && (said.speaks() || key.is_some()) {
            self.called.below_retry.say(events::idempotency_below_retry);
        }
        said
    }

    /// Records an undeclared method. Only descriptors or tables claim to list all methods.
    fn note(&self, method: &str) {
        if self.policy.is_described() && is_method(method) {
            self.called.note(method);
        }
    }
}

impl Declared<'_> {
    fn speaks(&self) -> bool {
        self.safety.is_some() || self.kind.is_some()
    }

    fn write(self, context: &mut call::Context) {
        if let Some((safety, _)) = self.safety {
            context.declare(safety);
        }
        if let Some((kind, _)) = self.kind {
            context.declare_kind(kind);
        }
    }
}

/// Whether the request is an attempt already, so that the layer is below a retry layer.
fn is_late(context: Option<&call::Context>) -> bool {
    context.and_then(call::Context::attempt).is_some()
}

impl<S> Idempotency<S> {
    pub(crate) fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
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
        if self.policy.is_silent() {
            return self.inner.call(request);
        }
        let key = self.policy.key(request.uri().path());
        let mut carried = None;
        if let Some(key) = key {
            let is_late = is_late(request.extensions().get());
            let (mut parts, body) = request.into_parts();
            // Below a retry layer each attempt would get a different key, which is worse than none.
            if !is_late {
                key.write(&mut parts);
            }
            carried = Some(key).filter(|key| key.is_in(&parts));
            request = Request::from_parts(parts, body);
        }
        let context = request.extensions().get::<call::Context>();
        if let Some(context) = context {
            context.seen_by(call::Reader::Other);
        }
        let said = self.said(request.uri().path(), context, key, carried);
        if said.speaks() {
            said.write(call::Context::of(request.extensions_mut()));
        }
        self.inner.call(request)
    }
}
