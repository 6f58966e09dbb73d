use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Deadline;

/// When a layer ends an attempt that is not answered, and how far it waits for the answer.
///
/// The attempt begins with the layer's call. A channel that answers for its own readiness lets it
/// begin anew once it has a connection, because waiting for one is no attempt (CONTRACT W2): unless
/// nothing else bounds the wait, or the order of the layers makes it part of the attempt.
#[derive(Debug)]
pub(crate) struct AttemptEnd {
    called: Instant,
    timeout: Duration,
    /// The deadline of the call, which bounds the waits too.
    call: Option<Deadline>,
    /// `grpc-timeout` holds the end of the attempt.
    is_told: bool,
    /// A head without a message is not enough.
    #[cfg_attr(
        not(feature = "channel"),
        expect(dead_code, reason = "the channel alone reads it")
    )]
    covers_message: bool,
    /// Waiting for a connection is part of the attempt.
    has_waits: AtomicBool,
    /// How many nanoseconds after the layer's call the attempt began; [`WAITS`] while it waits.
    began: AtomicU64,
}

const WAITS: u64 = u64::MAX;

impl AttemptEnd {
    pub(crate) fn new(called: Instant, timeout: Duration, call: Option<Deadline>) -> Self {
        Self {
            called,
            timeout,
            call,
            is_told: false,
            covers_message: false,
            has_waits: AtomicBool::new(false),
            began: AtomicU64::new(0),
        }
    }

    /// A wait for a connection is part of the attempt: no deadline and no retry layer bounds it, or
    /// a wait-for-ready layer stands below.
    pub(crate) fn include_waits(&self) {
        self.has_waits.store(true, Ordering::Relaxed);
    }

    /// Sets whether `grpc-timeout` holds the end, and whether the first message has to come by
    /// then.
    pub(crate) fn covering(self, is_told: bool, covers_message: bool) -> Self {
        Self {
            is_told,
            covers_message,
            ..self
        }
    }

    pub(crate) fn is_told(&self) -> bool {
        self.is_told
    }

    /// From the beginning of the attempt to its end.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// When the attempt began; `None` while it waits for a connection.
    fn beginning(&self) -> Option<Instant> {
        match self.began.load(Ordering::Acquire) {
            WAITS => None,
            nanos => Some(self.called + Duration::from_nanos(nanos)),
        }
    }

    /// When the attempt ends, with the grace that the peer gets. `None` while it waits for a
    /// connection.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        let began = self.beginning()?;
        let end = Deadline::after(began, self.timeout);
        if !self.is_told {
            return Some(end);
        }
        let rest = self.call.map_or(Duration::MAX, |call| {
            call.remaining(began).saturating_sub(end.timeout())
        });
        Some(end.told_later(Deadline::grace(end.timeout()).min(rest)))
    }
}

#[cfg(feature = "channel")]
impl AttemptEnd {
    /// Whether waiting for a connection is part of the attempt.
    pub(crate) fn has_waits(&self) -> bool {
        self.has_waits.load(Ordering::Relaxed)
    }

    /// The attempt has no connection yet; what bounds the wait, which is no part of it.
    pub(crate) fn waits(&self, longest: Option<Duration>) -> Option<Deadline> {
        self.began.store(WAITS, Ordering::Release);
        self.call_with(longest)
    }

    /// The attempt has a connection; what bounds it from now on.
    pub(crate) fn begins(&self, now: Instant, longest: Option<Duration>) -> Option<Deadline> {
        let waited = now.saturating_duration_since(self.called).as_nanos();
        let nanos = u64::try_from(waited).unwrap_or(WAITS).min(WAITS - 1);
        self.began.store(nanos, Ordering::Release);
        let call = self.call_with(longest);
        let end = self.deadline().filter(|_| self.is_told);
        match (call, end) {
            (Some(call), Some(end)) => Some(call.earliest(end)),
            (call, end) => call.or(end),
        }
    }

    /// When the attempt began, or was to begin.
    pub(crate) fn began(&self) -> Instant {
        self.beginning().unwrap_or(self.called)
    }

    /// The deadline of the call, or an earlier one of the channel.
    fn call_with(&self, longest: Option<Duration>) -> Option<Deadline> {
        let longest = longest.map(|longest| Deadline::after(self.called, longest));
        match (self.call, longest) {
            (Some(call), Some(longest)) => Some(call.earliest(longest)),
            (call, longest) => call.or(longest),
        }
    }

    /// Whether it has passed without an answer, for an attempt that got this far.
    pub(crate) fn is_over(&self, now: Instant, has_head: bool, has_message: bool) -> bool {
        let has_passed = self.deadline().is_some_and(|end| now >= end.at());
        has_passed && !has_message && (self.covers_message || !has_head)
    }
}

#[cfg(all(test, feature = "channel"))]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    // CONTRACT O2
    #[test]
    fn an_attempt_is_over_at_its_end_unless_it_was_answered() {
        let called = Instant::now();
        let (early, at) = (called + S - Duration::from_millis(1), called + S);
        let to_head = AttemptEnd::new(called, S, None);
        let to_message = AttemptEnd::new(called, S, None).covering(false, true);
        assert!(!to_head.is_over(early, false, false));
        assert!(to_head.is_over(at, false, false));
        assert!(!to_head.is_over(at, true, false));
        assert!(!to_message.is_over(early, true, false));
        assert!(to_message.is_over(at, true, false));
        assert!(!to_message.is_over(at, true, true));
    }

    // CONTRACT W2
    #[test]
    fn an_attempt_begins_anew_when_it_has_a_connection() {
        let called = Instant::now();
        let call = Deadline::after(called, 10 * S);
        let attempt = AttemptEnd::new(called, S, Some(call)).covering(true, true);
        let end = attempt.deadline().unwrap();
        assert_eq!(end.at(), called + S);
        assert_eq!(attempt.waits(None), Some(call));
        assert_eq!(attempt.deadline(), None);
        assert!(!attempt.is_over(called + 5 * S, false, false));
        let bound = attempt.begins(called + 3 * S, None).unwrap();
        assert_eq!(bound.at(), called + 4 * S);
        assert_eq!(attempt.deadline(), Some(bound));
        let grace = Deadline::grace(S);
        assert_eq!(bound.told(called + 3 * S), S + grace, "as at first");
        assert_eq!(end.told(called), S + grace);
        // The call ends before the attempt would.
        attempt.waits(None);
        assert_eq!(attempt.begins(called + 19 * S / 2, None), Some(call));
    }

    // CONTRACT W2
    #[test]
    fn the_longest_time_of_a_call_on_the_channel_bounds_its_wait_too() {
        let called = Instant::now();
        let attempt = AttemptEnd::new(called, S, None).covering(true, true);
        assert_eq!(attempt.waits(None), None);
        let longest = attempt.waits(Some(3 * S)).unwrap();
        assert_eq!(longest.at(), called + 3 * S);
        let bound = attempt.begins(called + 2 * S, Some(5 * S / 2)).unwrap();
        assert_eq!(bound.at(), called + 5 * S / 2);
        // A stream that the attempt bounds only up to its head is not told of its end.
        let untold = AttemptEnd::new(called, S, None);
        assert_eq!(untold.begins(called + S, None), None);
    }
}
