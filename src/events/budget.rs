//! A retry budget that is used up: INFO, once until it has filled again.

use std::time::Duration;

use super::TARGET;

/// The budget refuses extra attempts from now on.
#[cold]
pub(crate) fn budget_is_empty() {
    tracing::info!(
        target: TARGET,
        "a retry budget is used up: failed calls are not retried until it fills again"
    );
}

/// The budget grants extra attempts again, `refused_for` after it began to refuse them.
#[cold]
pub(crate) fn budget_is_back(refused_for: Duration) {
    tracing::info!(target: TARGET, ?refused_for, "a retry budget has filled again");
}
