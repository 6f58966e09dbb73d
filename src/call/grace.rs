//! How early a failure counts as the call's own end (CONTRACT D11).

use std::time::Duration;

use tokio::time::Instant;

use crate::classify::{Expiry, Verdict};

use super::Deadline;
use super::deadline::LEAST_GRACE;

/// The longest grace: half a second before its end, a call is not at its end.
const MOST_GRACE: Duration = Duration::from_millis(50);

/// The grace is this fraction of the timeout sent: long calls cross slow networks.
const PART: u32 = 20;

/// The least grace for a peer whose message names the timeout. Envoy's
/// `grpc_timeout_header_offset`, which users set to 20 ms, ends a call that much earlier, or makes
/// the server behind it do so. Envoy's timers use a time that is read once per event loop, up to 3
/// ms old.
const WORDED_GRACE: Duration = Duration::from_millis(25);

impl Deadline {
    /// Whether this failure, seen at `now`, is the deadline reported in another form (CONTRACT
    /// D11). `sent` is the `grpc-timeout` of its request.
    pub(crate) fn is_named_by(
        &self,
        verdict: &Verdict,
        message: &str,
        sent: Duration,
        now: Instant,
    ) -> bool {
        let grace = match verdict.expiry(message) {
            None => return false,
            Some(Expiry::OwnClock) => LEAST_GRACE,
            Some(Expiry::Code) => Self::grace(sent),
            Some(Expiry::Words) => Self::grace(sent).max(WORDED_GRACE),
        };
        // Otherwise a short call would be near its end from its start.
        self.remaining(now) <= grace.min(sent / 2)
    }

    /// How long before its end a failure counts as that end, for a request with the timeout `sent`
    /// (CONTRACT D11).
    pub(crate) fn grace(sent: Duration) -> Duration {
        (sent / PART).clamp(LEAST_GRACE, MOST_GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::{Progress, Reason};
    use crate::grpc::Code;

    /// The longest remaining time, in milliseconds, at which such a failure of a call with this
    /// timeout counts as its end.
    fn grace(timeout: u64, code: Code, reason: Reason, message: &str) -> Option<u64> {
        let ms = Duration::from_millis;
        let verdict = Verdict::new(Progress::Answered, code, reason);
        let deadline = Deadline::after(Instant::now(), ms(timeout));
        let is_end = |left: &u64| {
            let now = deadline.at() - ms(*left);
            deadline.is_named_by(&verdict, message, deadline.timeout(), now)
        };
        let most = (0..=timeout).rev().find(is_end)?;
        assert!((0..most).all(|left| is_end(&left)));
        Some(most)
    }

    // CONTRACT D11
    #[test]
    fn the_grace_is_a_twentieth_of_what_was_sent_within_bounds() {
        use Reason::Answered;
        for (timeout, expected) in [
            (4, 2),
            (50, 5),
            (100, 5),
            (300, 15),
            (500, 25),
            (1_000, 50),
            (60_000, 50),
        ] {
            for code in [Code::Cancelled, Code::DeadlineExceeded] {
                assert_eq!(grace(timeout, code, Answered, "stopped"), Some(expected));
            }
            let timed_out = Reason::AttemptTimedOut;
            let own_clock = grace(timeout, Code::DeadlineExceeded, timed_out, "");
            assert_eq!(own_clock, Some(expected.min(5)));
        }
    }

    // CONTRACT D11
    #[test]
    fn words_that_say_so_may_come_as_early_as_proxies_do() {
        let words = "upstream request timeout";
        for (timeout, expected) in [(30, 15), (100, 25), (300, 25), (1_000, 50)] {
            for code in [Code::Unavailable, Code::Unknown, Code::Cancelled] {
                let grace = grace(timeout, code, Reason::Answered, words);
                assert_eq!(grace, Some(expected));
            }
        }
        for code in [Code::Unavailable, Code::Unknown] {
            assert_eq!(grace(300, code, Reason::Answered, "busy"), None);
        }
    }
}
