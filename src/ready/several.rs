use std::time::Duration;

use tokio::time::Instant;

/// Evidence that a channel has several endpoints (CONTRACT W10). With one endpoint, dials fail or
/// calls are answered, and a connection is lost between the two. With several, both go on side by
/// side.
#[derive(Debug, Default)]
pub(crate) struct Several {
    /// The number of probes begun when a dial failed, if no connection was lost since. Only an
    /// answer to a later call counts.
    failed_at: Option<u64>,
    /// The number of probes begun at the last failed dial.
    last_failed: u64,
    /// A call that began after that was answered.
    answered: bool,
    /// The last alternations, latest first.
    seen: [Option<Instant>; ENOUGH],
    /// The latest alternation, once there were enough.
    known: Option<Instant>,
    /// All endpoints were down when the evidence was last complete.
    held: bool,
}

/// This number of alternations ..
const ENOUGH: usize = 3;
/// .. within this time prove it ..
const WITHIN: Duration = Duration::from_secs(10);
/// .. and the proof expires this long after the last one.
const FORGOTTEN: Duration = Duration::from_secs(60);

impl Several {
    /// A dial failed when `probes` probes had begun.
    pub(crate) fn dial_failed(&mut self, probes: u64, now: Instant) {
        if std::mem::take(&mut self.answered) {
            self.seen.rotate_right(1);
            if let Some(latest) = self.seen.first_mut() {
                *latest = Some(now);
            }
            let earliest = self.seen.last().copied().flatten();
            let enough = earliest.is_some_and(|at| now.saturating_duration_since(at) <= WITHIN);
            if enough || self.is_known(now) {
                self.known = Some(now);
            }
            self.failed_at = Some(self.last_failed);
        }
        self.failed_at.get_or_insert(probes);
        self.last_failed = probes;
    }

    /// A call was answered after the last failed dial, because the channel is ready.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.answered = self.failed_at.is_some();
        if std::mem::take(&mut self.held) {
            self.known = Some(now);
        }
    }

    /// A call was answered while the channel is not ready: the probe with this number, or a call
    /// that it let go. Returns whether it began after a failed dial. Where a dead endpoint fails at
    /// once, a live one answers later.
    pub(crate) fn answered_late(&mut self, number: u64) -> bool {
        let began_after = self.failed_at.is_some_and(|probes| number > probes);
        self.answered |= began_after;
        began_after
    }

    /// A connection was lost: later failures are no alternation.
    pub(crate) fn lost(&mut self) {
        self.failed_at = None;
        self.answered = false;
    }

    pub(crate) fn is_known(&self, now: Instant) -> bool {
        let known = |last| now.saturating_duration_since(last) < FORGOTTEN;
        self.held || self.known.is_some_and(known)
    }

    /// All endpoints are down: the evidence is kept until one is back.
    pub(crate) fn hold(&mut self, now: Instant) {
        self.held = self.is_known(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence of events `apart` ms apart: a failed dial (`f`), an answer (`a`), a lost
    /// connection (`l`).
    fn after(events: &str, apart: u64) -> (Several, Instant) {
        let (mut several, mut now) = (Several::default(), Instant::now());
        for event in events.chars() {
            now += Duration::from_millis(apart);
            match event {
                'f' => several.dial_failed(0, now),
                'a' => several.answered(now),
                _ => several.lost(),
            }
        }
        (several, now)
    }

    // CONTRACT W10
    #[test]
    fn three_alternations_within_ten_seconds_mean_several_endpoints() {
        for (events, apart, known) in [
            ("fafafaf", 100, true),
            ("afafafaf", 100, true),
            ("ffaaffaaffaaff", 100, true),
            ("fafaf", 100, false),
            ("ffffffff", 100, false),
            ("aaaaaaaa", 100, false),
            // A server that comes and goes: it loses its connection each time.
            ("falfalfalfalfal", 100, false),
            ("fafaflaf", 100, false),
            // Three within 10 s, and then no more.
            ("fafafaf", 2_500, true),
            ("fafafaf", 2_600, false),
        ] {
            let (several, now) = after(events, apart);
            assert_eq!(several.is_known(now), known, "{events} each {apart} ms");
        }
    }

    // CONTRACT W10
    #[test]
    fn an_answer_that_comes_after_the_next_failed_dial_counts_if_its_call_began_after_the_one_before()
     {
        let now = Instant::now();
        let mut several = Several::default();
        several.dial_failed(1, now);
        assert!(!several.answered_late(1), "it began before the failure");
        for test in 2..6 {
            several.dial_failed(test, now);
            assert_eq!(several.is_known(now), test == 5, "{test}");
            assert!(several.answered_late(test));
        }
    }

    // CONTRACT W10
    #[test]
    fn several_endpoints_are_forgotten_after_a_minute_without_an_alternation() {
        let (mut several, known) = after("fafafaf", 100);
        let later = |seconds| known + Duration::from_secs(seconds);
        assert!(several.is_known(later(59)));
        assert!(!several.is_known(later(60)));
        several.answered(later(50));
        several.dial_failed(0, later(50));
        assert!(several.is_known(later(109)));
        assert!(!several.is_known(later(110)));
    }

    // CONTRACT W10
    #[test]
    fn several_endpoints_that_are_all_down_are_forgotten_a_minute_after_one_is_back() {
        let (mut several, known) = after("fafafaf", 100);
        let later = |seconds| known + Duration::from_secs(seconds);
        several.hold(known);
        assert!(several.is_known(later(3_600)));
        several.answered(later(3_600));
        assert!(several.is_known(later(3_659)));
        assert!(!several.is_known(later(3_660)));
    }
}
