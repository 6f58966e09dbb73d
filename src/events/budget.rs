//! A budget for retries that is used up: INFO, and one line until it has filled again.

use std::time::Duration;

use super::TARGET;

/// It refuses extra attempts from now on.
#[cold]
pub(crate) fn budget_is_empty() {
    tracing::info!(
        target: TARGET,
        "a retry budget is used up: failed calls are not retried until it fills again"
    );
}

/// It grants extra attempts again, after it has refused some for so long.
#[cold]
pub(crate) fn budget_is_back(refused_for: Duration) {
    tracing::info!(target: TARGET, ?refused_for, "a retry budget has filled again");
}
