use std::time::Duration;

use crate::classify::{Progress, Reason, Verdict};
use crate::grpc::{Code, CodeSet};

/// The settings of the throttle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AdaptiveThrottlePolicy {
    pub(super) multiplier: f64,
    pub(super) window: Duration,
    pub(super) refused: CodeSet,
}

/// The evidence about the server's load from the end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    /// The server took the call and answered with any status: a request and an accept.
    Accepted,
    /// The server refused the call: a request only.
    Refused,
    /// Unknown: neither a request nor an accept.
    Unknown,
}

/// The probability with which a new request is throttled after `requests` requests and `accepts`
/// accepted ones: `max(0, (requests - k * accepts) / (requests + 1))`.
///
/// Source: [Site Reliability Engineering, Handling
/// Overload](https://sre.google/sre-book/handling-overload/), client-side throttling.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts beyond 2^53 differ by less than a probability can show"
)]
pub(crate) fn probability(requests: u64, accepts: u64, k: f64) -> f64 {
    let (requests, accepts) = (requests as f64, accepts as f64);
    ((requests - k * accepts) / (requests + 1.0)).max(0.0)
}

impl AdaptiveThrottlePolicy {
    /// The evidence from a failure about the server's load; the [module](super) has the table.
    #[must_use]
    pub(crate) fn fate(&self, verdict: &Verdict) -> Fate {
        let is_refusal = self.refused.contains(verdict.code);
        match (verdict.progress, verdict.reason) {
            (_, Reason::HookFailed | Reason::InvalidCall | Reason::Dropped) => Fate::Unknown,
            (_, reason) if reason.is_readiness() => Fate::Unknown,
            (_, reason) if reason.is_time_out() || reason == Reason::DeadlineExceeded => {
                if is_refusal {
                    Fate::Refused
                } else {
                    Fate::Unknown
                }
            }
            (Progress::NotSent | Progress::Refused, _)
            | (_, Reason::ConnectionLost | Reason::KeepaliveTimeout) => Fate::Refused,
            (Progress::Answered, Reason::MessageTooLarge) | (_, Reason::NoStatus) => Fate::Accepted,
            _ if is_refusal => Fate::Refused,
            (Progress::Answered | Progress::Unprocessed, _) => Fate::Accepted,
            (Progress::Reached, _) => Fate::Unknown,
        }
    }
}

impl Default for AdaptiveThrottlePolicy {
    /// Source: as for [`probability`]. It uses two minutes, and recommends K = 2.
    fn default() -> Self {
        let overload = [Code::ResourceExhausted, Code::Unavailable];
        Self {
            multiplier: 2.0,
            window: Duration::from_secs(120),
            refused: overload.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-12
    }

    #[test]
    fn the_probability_is_that_of_the_book() {
        for (requests, accepts, k, expected) in [
            (0, 0, 2.0, 0.0),
            (1, 0, 2.0, 0.5),
            (99, 0, 2.0, 0.99),
            (100, 50, 2.0, 0.0),
            (100, 49, 2.0, 2.0 / 101.0),
            (199, 50, 2.0, 99.0 / 200.0),
            (99, 90, 1.1, 0.0),
            (99, 90, 1.0, 0.09),
        ] {
            let got = probability(requests, accepts, k);
            assert!(close(got, expected), "{requests} {accepts} {k}: {got}");
        }
    }

    fn fate(progress: Progress, code: Code, reason: Reason) -> Fate {
        AdaptiveThrottlePolicy::default().fate(&Verdict::new(progress, code, reason))
    }

    #[test]
    fn an_answer_is_a_refusal_by_its_code_and_an_accept_by_any_other() {
        for reason in [Reason::Answered, Reason::HttpStatus] {
            for code in Code::ALL {
                let expected = match code {
                    Code::ResourceExhausted | Code::Unavailable => Fate::Refused,
                    _ => Fate::Accepted,
                };
                assert_eq!(fate(Progress::Answered, code, reason), expected, "{code}");
            }
        }
        let (code, reason) = (Code::ResourceExhausted, Reason::MessageTooLarge);
        assert_eq!(fate(Progress::Answered, code, reason), Fate::Accepted);
        let (code, reason) = (Code::Unknown, Reason::NoStatus);
        assert_eq!(fate(Progress::Reached, code, reason), Fate::Accepted);
    }

    #[test]
    fn without_an_answer_only_the_transport_s_refusals_count() {
        for reason in [Reason::ConnectFailed, Reason::Queued] {
            let fate = fate(Progress::NotSent, Code::Unavailable, reason);
            assert_eq!(fate, Fate::Refused, "{reason}");
        }
        for reason in [Reason::StreamRefused, Reason::GoAway] {
            let fate = fate(Progress::Refused, Code::Unavailable, reason);
            assert_eq!(fate, Fate::Refused, "{reason}");
        }
        for (code, reason, expected) in [
            (Code::Unavailable, Reason::ConnectionLost, Fate::Refused),
            (Code::Unavailable, Reason::KeepaliveTimeout, Fate::Refused),
            (Code::ResourceExhausted, Reason::StreamReset, Fate::Refused),
            (Code::Internal, Reason::StreamReset, Fate::Unknown),
            (Code::Unknown, Reason::Unrecognised, Fate::Unknown),
            (Code::Unavailable, Reason::ForeignStatus, Fate::Refused),
        ] {
            assert_eq!(fate(Progress::Reached, code, reason), expected, "{reason}");
        }
    }

    #[test]
    fn what_was_decided_on_this_side_says_nothing_of_the_server() {
        for reason in [
            Reason::ChannelClosed,
            Reason::NotReady,
            Reason::QueueFull,
            Reason::Throttled,
            Reason::HookFailed,
            Reason::InvalidCall,
            Reason::Dropped,
        ] {
            let fate = fate(Progress::NotSent, Code::Unavailable, reason);
            assert_eq!(fate, Fate::Unknown, "{reason}");
        }
    }

    #[test]
    fn a_time_out_says_nothing_unless_its_code_is_a_refusal() {
        let mut policy = AdaptiveThrottlePolicy::default();
        let code = Code::DeadlineExceeded;
        for (refused, expected) in [(false, Fate::Unknown), (true, Fate::Refused)] {
            if refused {
                policy.refused = policy.refused.with(code);
            }
            for reason in [
                Reason::AttemptTimedOut,
                Reason::TransportTimedOut,
                Reason::DeadlineExceeded,
            ] {
                for progress in [Progress::NotSent, Progress::Reached] {
                    let verdict = Verdict::new(progress, code, reason);
                    assert_eq!(policy.fate(&verdict), expected);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_probability_is_below_one_falls_with_accepts_and_is_none_within_the_multiplier(
            requests in any::<u32>(), accepts in any::<u32>(), k in 1.0..10.0_f64,
        ) {
            let (requests, accepts) = (u64::from(requests), u64::from(accepts.min(requests)));
            let now = probability(requests, accepts, k);
            prop_assert!((0.0..1.0).contains(&now));
            prop_assert!(probability(requests, accepts + 1, k) <= now);
            prop_assert!(probability(requests + 1, accepts, k) >= now);
            // The slow reference: in integers, if `k` is one.
            let twice = i128::from(requests) - 2 * i128::from(accepts);
            prop_assert_eq!(probability(requests, accepts, 2.0) > 0.0, twice > 0);
        }
    }
}
