use std::sync::Arc;

use http::HeaderMap;

use crate::call::{Budget, CallOptions, Context};
use crate::classify;
use crate::error::{Error, GiveUp};

use super::Policy;

/// The state that outlives the last attempt of a call, because the status at the end of the
/// response counts too.
///
/// It holds neither the request nor the trace: a long response must not keep the request alive, and
/// an error that holds this body may be in the trace.
#[derive(Debug)]
pub(crate) struct Completion {
    policy: Option<Arc<dyn Policy>>,
    budget: Option<Arc<dyn Budget>>,
    options: Option<Arc<CallOptions>>,
    attempts: u32,
}

impl Completion {
    #[inline]
    pub(crate) fn new(
        policy: Option<Arc<dyn Policy>>,
        context: &mut Context,
        attempts: u32,
    ) -> Self {
        let (budget, options) = context.take_budget();
        Self {
            policy,
            budget,
            options,
            attempts,
        }
    }

    /// The response ended with OK.
    pub(crate) fn succeeded(&self) {
        if let Some(budget) = &self.budget {
            budget.succeeded();
        }
    }

    /// The failure in these trailers, or a missing status; `None` if the trailers hold OK.
    #[cold]
    pub(crate) fn ended(&self, trailers: Option<&HeaderMap>) -> Option<Error> {
        let said = match trailers {
            Some(trailers) => classify::trailers(trailers),
            None => Some(classify::no_status()),
        };
        said.map(|(verdict, status)| self.broke_off(Error::answered(verdict, status)))
    }

    /// The response failed after it had begun.
    pub(crate) fn broke_off(&self, error: Error) -> Error {
        let options = self.options.as_deref().unwrap_or(CallOptions::unset());
        if let (Some(budget), Some(policy)) = (&self.budget, &self.policy)
            && policy.is_status_charged(&error.verdict(), error.status(), options)
        {
            budget.failed();
        }
        error.given_up(GiveUp::Committed, self.attempts)
    }
}
