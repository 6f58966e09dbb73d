use std::time::Duration;

use tokio::time::Instant;

/// One question a second.
const INTERVAL: Duration = Duration::from_secs(1);
/// How far the questions may be ahead of that rate: a burst of 2.
const AHEAD: Duration = Duration::from_secs(1);

/// When a resolver may be asked again: at most once a second, with a burst of 2 (CONTRACT N5). It
/// reads no clock.
///
/// A wish that comes too early is not lost: it is kept for [`due`](Self::due), because nothing else
/// may ask later on.
#[derive(Debug, Default)]
pub(in crate::channel) struct Again {
    /// When all questions so far would be over at the rate.
    paid_until: Option<Instant>,
    is_wanted: bool,
}

impl Again {
    /// An address may be stale. Whether to ask at once.
    pub(in crate::channel) fn want(&mut self, now: Instant) -> bool {
        self.is_wanted = true;
        self.take(now)
    }

    /// When to [`take`](Self::take) the wish that had to wait.
    pub(in crate::channel) fn due(&self) -> Option<Instant> {
        self.paid_until
            .filter(|_| self.is_wanted)
            .map(|paid_until| paid_until - AHEAD)
    }

    /// Whether a wish waits that may be asked now.
    pub(in crate::channel) fn take(&mut self, now: Instant) -> bool {
        let paid_until = self.paid_until.map_or(now, |until| until.max(now));
        let is_now = self.is_wanted && paid_until <= now + AHEAD;
        if is_now {
            self.is_wanted = false;
            self.paid_until = Some(paid_until + INTERVAL);
        }
        is_now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    // CONTRACT N5
    #[test]
    fn two_questions_go_at_once_and_then_one_a_second() {
        let start = Instant::now();
        let mut again = Again::default();
        let mut asked = Vec::new();
        // A wish every 10 ms for 5 s.
        for at in (0..5_000).step_by(10).map(ms) {
            if again.want(start + at) {
                asked.push(at);
            }
        }
        let expected = [0, 10, 1_000, 2_000, 3_000, 4_000].map(ms);
        assert_eq!(asked, expected);
    }

    // CONTRACT N5
    #[test]
    fn a_wish_that_comes_too_early_is_asked_when_it_is_due() {
        let start = Instant::now();
        let mut again = Again::default();
        assert!(again.want(start) && again.want(start));
        assert_eq!(again.due(), None);
        assert!(!again.want(start + ms(1)) && !again.want(start + ms(2)));
        assert_eq!(again.due(), Some(start + ms(1_000)));
        assert!(!again.take(start + ms(999)));
        assert!(again.take(start + ms(1_000)));
        // Once for all wishes.
        assert_eq!(again.due(), None);
        assert!(!again.take(start + ms(9_000)));
    }

    // CONTRACT N5
    #[test]
    fn the_burst_is_back_after_two_quiet_seconds_and_does_not_grow() {
        let start = Instant::now();
        let mut again = Again::default();
        assert!(again.want(start) && again.want(start));
        let later = start + ms(1_500);
        assert!(again.want(later) && !again.want(later));
        let later = start + ms(60_000);
        assert!(again.want(later) && again.want(later) && !again.want(later));
    }
}
