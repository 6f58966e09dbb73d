use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use crate::call;
use crate::events;

use super::budgets::Budgets;

/// The service of [`BudgetLayer`](super::BudgetLayer).
#[derive(Clone, Debug)]
pub struct Budget<S> {
    inner: S,
    budgets: Arc<Budgets>,
}

impl<S> Budget<S> {
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

    pub(super) fn new(inner: S, budgets: Arc<Budgets>) -> Self {
        Self { inner, budgets }
    }
}

impl<S> Budget<S> {
    /// Attaches the budget of the method of this path.
    #[inline]
    pub(crate) fn charge(&self, path: &str, context: &mut call::Context) {
        if let Some(budget) = self.budgets.of(path) {
            self.hand_out(budget, context);
        }
    }

    #[inline]
    fn hand_out(&self, budget: Arc<dyn call::Budget>, context: &mut call::Context) {
        if context.attempt().is_some() && !context.is_in_two_stacks() {
            self.budgets.below_retry.say(events::budget_below_retry);
        } else if context.budget().is_some() && !context.is_in_two_stacks() {
            let warned = &self.budgets.below_another;
            warned.say(events::budget_below_budget);
        }
        context.seen_by(call::Reader::Other);
        context.set_budget(budget);
    }
}

impl<S> Budget<S> {
    pub(crate) fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<S, B> Service<Request<B>> for Budget<S>
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
        if let Some(budget) = self.budgets.of(request.uri().path()) {
            self.hand_out(budget, call::Context::of(request.extensions_mut()));
        }
        self.inner.call(request)
    }
}
