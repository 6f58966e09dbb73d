use tokio::time::Instant;

/// When a layer ends an attempt that is not answered, and how far it waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttemptEnd {
    at: Instant,
    /// A head without a message is not enough.
    covers_message: bool,
}

impl AttemptEnd {
    pub(crate) fn new(at: Instant, covers_message: bool) -> Self {
        Self { at, covers_message }
    }

    /// Whether it has passed without an answer, for an attempt that got this far.
    #[cfg(feature = "channel")]
    pub(crate) fn is_over(&self, now: Instant, has_head: bool, has_message: bool) -> bool {
        now >= self.at && !has_message && (self.covers_message || !has_head)
    }
}

#[cfg(all(test, feature = "channel"))]
mod tests {
    use std::time::Duration;

    use super::*;

    // CONTRACT O2
    #[test]
    fn an_attempt_is_over_at_its_end_unless_it_was_answered() {
        let at = Instant::now();
        let early = at - Duration::from_millis(1);
        let (to_head, to_message) = (AttemptEnd::new(at, false), AttemptEnd::new(at, true));
        assert!(!to_head.is_over(early, false, false));
        assert!(to_head.is_over(at, false, false));
        assert!(!to_head.is_over(at, true, false));
        assert!(!to_message.is_over(early, true, false));
        assert!(to_message.is_over(at, true, false));
        assert!(!to_message.is_over(at, true, true));
    }
}
