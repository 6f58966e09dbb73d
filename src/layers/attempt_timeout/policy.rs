use std::time::Duration;

use crate::call::{CallOptions, Timeout};
use crate::grpc::MethodKind;

/// Decides which attempts are bounded, and by which timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AttemptTimeoutPolicy {
    pub(super) timeout: Option<Duration>,
    pub(super) until_first_message: bool,
    pub(super) unbounded_last_attempt: bool,
    /// Whether the timeout was compared with the default of the stack's deadline layer.
    pub(super) is_compared: bool,
}

/// The bounds of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) until_first_message: bool,
    /// Whether `grpc-timeout` holds the end of the attempt.
    pub(super) is_told: bool,
}

impl AttemptTimeoutPolicy {
    /// The timeout of each attempt of a call: the call's option, or else the layer's timeout.
    #[must_use]
    pub(crate) fn timeout(&self, options: Option<&CallOptions>) -> Option<Duration> {
        match options.map_or(Timeout::Inherited, CallOptions::chosen_attempt_timeout) {
            Timeout::Inherited => self.timeout,
            Timeout::After(timeout) => Some(timeout),
            Timeout::Never => None,
        }
    }

    /// The bounds of an attempt with this timeout, for this time until the call's deadline; `None`
    /// if the timeout does not apply (CONTRACT D12). `is_last`: a retry layer declared that no
    /// other attempt can follow.
    pub(super) fn bound(
        &self,
        timeout: Duration,
        remaining: Option<Duration>,
        is_last: bool,
        kind: Option<MethodKind>,
    ) -> Option<Bounds> {
        let is_for_nothing = is_last && remaining.is_some();
        let bounds = Bounds {
            until_first_message: self.until_first_message,
            // A server with the attempt's timeout would end a stream that this layer does not end.
            is_told: kind.is_none_or(MethodKind::answers_once),
        };
        (!is_for_nothing && self.bounds(timeout, remaining)).then_some(bounds)
    }

    /// The layer's timeout; `None` if not set.
    pub(crate) fn default_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Whether an attempt with this timeout is bounded, for this time until the call's deadline. A
    /// timeout that is not earlier than the deadline does not apply (CONTRACT D11).
    #[must_use]
    pub(crate) fn bounds(&self, timeout: Duration, remaining: Option<Duration>) -> bool {
        let Some(remaining) = remaining else {
            return true;
        };
        let is_last = remaining < timeout.saturating_mul(2);
        timeout < remaining && !(is_last && self.unbounded_last_attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_call_s_option_replaces_the_layer_s_timeout() {
        let policy = AttemptTimeoutPolicy {
            timeout: Some(SECOND),
            ..AttemptTimeoutPolicy::default()
        };
        let mut options = CallOptions::default();
        assert_eq!(policy.timeout(None), Some(SECOND));
        assert_eq!(policy.timeout(Some(&options)), Some(SECOND));
        options.attempt_timeout(5 * SECOND);
        assert_eq!(policy.timeout(Some(&options)), Some(5 * SECOND));
        options.no_attempt_timeout();
        assert_eq!(policy.timeout(Some(&options)), None);
    }

    #[test]
    fn an_attempt_that_the_deadline_ends_no_later_is_not_bounded_by_itself() {
        let policy = AttemptTimeoutPolicy::default();
        assert!(policy.bounds(SECOND, None));
        assert!(policy.bounds(SECOND, Some(SECOND + Duration::from_nanos(1))));
        assert!(!policy.bounds(SECOND, Some(SECOND)));
        assert!(!policy.bounds(Duration::MAX, Some(Duration::MAX)));
    }

    #[test]
    fn the_last_attempt_is_that_with_less_than_two_timeouts_left() {
        let policy = AttemptTimeoutPolicy {
            unbounded_last_attempt: true,
            ..AttemptTimeoutPolicy::default()
        };
        assert!(policy.bounds(SECOND, Some(2 * SECOND)));
        assert!(!policy.bounds(SECOND, Some(Duration::from_millis(1_999))));
        assert!(policy.bounds(Duration::MAX, None));
    }
}
