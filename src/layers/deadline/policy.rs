use std::time::Duration;

use crate::call::{CallOptions, Timeout};

/// Computes the timeout of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeadlinePolicy {
    default_timeout: Option<Duration>,
    pub(super) forbids_missing: bool,
}

impl DeadlinePolicy {
    pub(super) fn set_default(&mut self, timeout: Duration) {
        self.default_timeout = Some(timeout);
    }

    /// The layer's default timeout; `None` if not set.
    #[must_use]
    pub(crate) fn default_timeout(&self) -> Option<Duration> {
        self.default_timeout
    }

    /// The shorter of the caller's `grpc-timeout` and the call's option. Without an option, the
    /// layer's default takes its place.
    #[must_use]
    pub(crate) fn timeout(
        &self,
        header: Option<Duration>,
        options: &CallOptions,
    ) -> Option<Duration> {
        let chosen = match options.chosen_timeout() {
            Timeout::Inherited => self.default_timeout,
            Timeout::After(timeout) => Some(timeout),
            Timeout::Never => None,
        };
        match (header, chosen) {
            (Some(header), Some(chosen)) => Some(header.min(chosen)),
            (header, chosen) => header.or(chosen),
        }
    }

    /// Whether a call may have no deadline: always by default; with
    /// [`forbid_missing_deadline`](super::DeadlineLayer::forbid_missing_deadline) only if its
    /// options set `no_timeout`.
    #[must_use]
    pub(crate) fn allows_none(&self, options: &CallOptions) -> bool {
        !self.forbids_missing || options.chosen_timeout() == Timeout::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_timeout_wins_and_the_call_s_option_replaces_the_default() {
        let second = Duration::from_secs;
        let mut policy = DeadlinePolicy::default();
        policy.set_default(second(5));
        let mut options = CallOptions::default();
        assert_eq!(policy.timeout(None, &options), Some(second(5)));
        assert_eq!(policy.timeout(Some(second(2)), &options), Some(second(2)));
        assert_eq!(policy.timeout(Some(second(9)), &options), Some(second(5)));
        options.timeout(second(7));
        assert_eq!(policy.timeout(None, &options), Some(second(7)));
        options.no_timeout();
        assert_eq!(policy.timeout(None, &options), None);
        assert_eq!(policy.timeout(Some(second(2)), &options), Some(second(2)));
    }

    #[test]
    fn a_missing_deadline_is_allowed_by_default_and_where_the_call_says_so() {
        let mut policy = DeadlinePolicy::default();
        let mut options = CallOptions::default();
        assert!(policy.allows_none(&options));
        policy.forbids_missing = true;
        assert!(!policy.allows_none(&options));
        options.no_timeout();
        assert!(policy.allows_none(&options));
    }
}
