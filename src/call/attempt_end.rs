#[cfg(feature = "channel")]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Deadline;
use crate::body::LossNotice;

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
    /// Signals during the attempt that no other can follow: the end is lifted then. Set only for a
    /// call with a deadline, which ends the attempt instead (CONTRACT D12).
    loss: Option<LossNotice>,
    /// The longest time of a call on the channel, which bounds the waits too.
    #[cfg(feature = "channel")]
    longest: OnceLock<Duration>,
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
            loss: None,
            #[cfg(feature = "channel")]
            longest: OnceLock::new(),
        }
    }

    /// The end is lifted at this notice.
    pub(crate) fn until_lost(self, loss: Option<LossNotice>) -> Self {
        Self { loss, ..self }
    }

    /// Whether the request can't be repeated any more, so that the attempt goes on to the deadline
    /// of the call (CONTRACT D12).
    pub(crate) fn is_lifted(&self) -> bool {
        self.loss.as_ref().is_some_and(LossNotice::is_given)
    }

    /// Whether the call itself is over at `now`, and not only its attempt: the end of the attempt
    /// was lifted, and the deadline of the call has passed.
    pub(crate) fn is_past(&self, now: Instant) -> bool {
        let end = self.end_of_call();
        self.is_lifted() && end.is_some_and(|end| end.remaining(now).is_zero())
    }

    /// The deadline of the call, or an earlier one of the channel.
    fn end_of_call(&self) -> Option<Deadline> {
        #[cfg(feature = "channel")]
        if let Some(longest) = self.longest.get() {
            let longest = Deadline::after(self.called, *longest);
            return Some(self.call.map_or(longest, |call| call.earliest(longest)));
        }
        self.call
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
    /// The channel bounds each call, however long the layers give it.
    pub(crate) fn at_most(&self, longest: Duration) {
        self.longest.get_or_init(|| longest);
    }

    /// Whether waiting for a connection is part of the attempt.
    pub(crate) fn has_waits(&self) -> bool {
        self.has_waits.load(Ordering::Relaxed)
    }

    /// The attempt has no connection yet; what bounds the wait, which is no part of it.
    pub(crate) fn waits(&self) -> Option<Deadline> {
        self.began.store(WAITS, Ordering::Release);
        self.end_of_call()
    }

    /// The attempt has a connection; what bounds it from now on.
    pub(crate) fn begins(&self, now: Instant) -> Option<Deadline> {
        let waited = now.saturating_duration_since(self.called).as_nanos();
        let nanos = u64::try_from(waited).unwrap_or(WAITS).min(WAITS - 1);
        self.began.store(nanos, Ordering::Release);
        let call = self.end_of_call();
        let end = self
            .deadline()
            .filter(|_| self.is_told && !self.is_lifted());
        match (call, end) {
            (Some(call), Some(end)) => Some(call.earliest(end)),
            (call, end) => call.or(end),
        }
    }

    /// What bounds the attempt instead of its own end; `None` if that still does.
    pub(crate) fn lifted(&self) -> Option<Deadline> {
        self.end_of_call().filter(|_| self.is_lifted())
    }

    /// When the attempt began, or was to begin.
    pub(crate) fn began(&self) -> Instant {
        self.beginning().unwrap_or(self.called)
    }

    /// Whether it has passed without an answer, for an attempt that got this far.
    pub(crate) fn is_over(&self, now: Instant, has_head: bool, has_message: bool) -> bool {
        let has_passed = self.deadline().is_some_and(|end| now >= end.at());
        let is_unanswered = !has_message && (self.covers_message || !has_head);
        has_passed && is_unanswered && !self.is_lifted()
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
        assert_eq!(attempt.waits(), Some(call));
        assert_eq!(attempt.deadline(), None);
        assert!(!attempt.is_over(called + 5 * S, false, false));
        let bound = attempt.begins(called + 3 * S).unwrap();
        assert_eq!(bound.at(), called + 4 * S);
        assert_eq!(attempt.deadline(), Some(bound));
        let grace = Deadline::grace(S);
        assert_eq!(bound.told(called + 3 * S), S + grace, "as at first");
        assert_eq!(end.told(called), S + grace);
        // The call ends before the attempt would.
        attempt.waits();
        assert_eq!(attempt.begins(called + 19 * S / 2), Some(call));
    }

    // CONTRACT D12
    #[test]
    fn a_request_that_is_lost_to_the_replay_lifts_the_end_of_its_attempt() {
        let (called, loss) = (Instant::now(), LossNotice::default());
        let call = Deadline::after(called, 10 * S);
        let attempt = AttemptEnd::new(called, S, Some(call)).covering(true, true);
        let attempt = attempt.until_lost(Some(loss.clone()));
        assert_eq!(attempt.lifted(), None);
        assert!(attempt.is_over(called + S, false, false));
        loss.give();
        assert_eq!(attempt.lifted(), Some(call));
        assert!(!attempt.is_over(called + 2 * S, false, false));
        // It begins anew when it has a connection, and is bounded as before.
        assert_eq!(attempt.begins(called + 3 * S), Some(call));
        // What ends it from then on is the call, or the channel.
        assert!(!attempt.is_past(called + 9 * S));
        assert!(attempt.is_past(called + 10 * S));
        attempt.at_most(5 * S);
        assert!(attempt.is_past(called + 5 * S));
        assert_eq!(attempt.lifted().unwrap().at(), called + 5 * S);
    }

    // CONTRACT W2
    #[test]
    fn the_longest_time_of_a_call_on_the_channel_bounds_its_wait_too() {
        let called = Instant::now();
        let attempt = |longest| {
            let attempt = AttemptEnd::new(called, S, None).covering(true, true);
            attempt.at_most(longest);
            attempt
        };
        let waits = attempt(3 * S).waits().unwrap();
        assert_eq!(waits.at(), called + 3 * S);
        let bound = attempt(5 * S / 2).begins(called + 2 * S).unwrap();
        assert_eq!(bound.at(), called + 5 * S / 2);
        // A stream that the attempt bounds only up to its head is not told of its end.
        let untold = AttemptEnd::new(called, S, None);
        assert_eq!(untold.waits(), None);
        assert_eq!(untold.begins(called + S), None);
    }
}
