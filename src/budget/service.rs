use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use crate::call;

use super::budgets::Budgets;

/// The service of [`BudgetLayer`](super::BudgetLayer).
#[derive(Clone, Debug)]
pub struct Budgeted<S> {
    inner: S,
    budgets: Arc<Budgets>,
}

impl<S> Budgeted<S> {
    pub(super) fn new(inner: S, budgets: Arc<Budgets>) -> Self {
        Self { inner, budgets }
    }
}

impl<S> Budgeted<S> {
    /// Writes the budget of the method into the request.
    #[inline]
    pub(crate) fn charge<B>(&self, request: &mut Request<B>) {
        if let Some(budget) = self.budgets.of(request.uri().path()) {
            call::Context::of(request.extensions_mut()).charge(budget);
        }
    }
}

impl<S, B> Service<Request<B>> for Budgeted<S>
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
        self.charge(&mut request);
        self.inner.call(request)
    }
}
