//! How many streams a connection opens at once, where the peer refuses more than it announces
//! (CONTRACT C19).

/// The own limit of a connection, beside the peer's.
///
/// C-core counts a stream until it has destroyed it, and refuses a client that keeps within the
/// announced limit. So a refusal lowers the own limit by a quarter, once per round trip, and many
/// streams without a refusal raise it by one.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    /// `None` while nothing was refused.
    own: Option<u32>,
    /// Refusals of streams up to this id are of before the limit was last lowered.
    lowered_at: u32,
    /// Streams that ended without a refusal since the limit was last changed.
    clean: u32,
}

/// Streams without a refusal, for each stream that the limit allows, before it rises by one.
const CLEAN: u32 = 400;

impl Limit {
    /// What the connection may open, where the peer allows this much.
    pub(crate) fn of(&self, peer: u32) -> u32 {
        self.own.map_or(peer, |own| own.min(peer))
    }

    /// The peer refused this stream, when `newest` was the last that was opened and the peer
    /// allowed `peer` of them; whether the limit is lower now.
    pub(crate) fn refused(&mut self, stream: u32, newest: u32, peer: u32) -> bool {
        if stream <= self.lowered_at {
            return false;
        }
        let now = self.of(peer);
        let lower = (now - now.div_ceil(4)).max(1);
        self.own = Some(lower);
        self.lowered_at = newest;
        self.clean = 0;
        lower < now
    }

    /// A stream ended otherwise; whether the limit is higher now.
    pub(crate) fn accepted(&mut self, peer: u32) -> bool {
        let Some(own) = self.own else {
            return false;
        };
        self.clean += 1;
        if self.clean < own.saturating_mul(CLEAN) {
            return false;
        }
        self.clean = 0;
        self.own = (own + 1 < peer).then_some(own + 1);
        true
    }

    /// Whether anything was refused, so that streams without a refusal are to be counted.
    pub(crate) fn is_lowered(&self) -> bool {
        self.own.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT C19
    #[test]
    fn a_refusal_lowers_the_limit_by_a_quarter_once_per_round_trip() {
        let mut limit = Limit::default();
        assert_eq!(limit.of(10), 10);
        assert!(limit.refused(21, 31, 10));
        assert_eq!(limit.of(10), 7);
        for stream in (23..=31).step_by(2) {
            assert!(!limit.refused(stream, 41, 10), "opened before");
        }
        assert_eq!(limit.of(10), 7);
        assert!(limit.refused(33, 43, 10));
        assert_eq!(limit.of(10), 5);
    }

    // CONTRACT C19
    #[test]
    fn the_limit_stays_above_zero_and_below_the_peer_s() {
        let mut limit = Limit::default();
        for stream in 0..20 {
            limit.refused(stream * 2 + 1, stream * 2 + 1, 10);
        }
        assert_eq!(limit.of(10), 1);
        assert!(!limit.refused(99, 99, 10), "it is no lower than before");
        assert_eq!(limit.of(0), 0, "the peer's live limit");
    }

    // CONTRACT C19
    #[test]
    fn the_limit_rises_slowly_up_to_the_peer_s() {
        let mut limit = Limit::default();
        limit.refused(1, 1, 4);
        assert_eq!(limit.of(4), 3);
        for _ in 1..3 * CLEAN {
            assert!(!limit.accepted(4));
        }
        assert!(limit.accepted(4));
        assert_eq!(limit.of(4), 4);
        limit.refused(11, 11, 100);
        limit.refused(13, 13, 100);
        let lowered = limit.of(100);
        while !limit.accepted(100) {}
        assert_eq!(limit.of(100), lowered + 1);
        assert!(!limit.accepted(100), "the next rise takes as long");
        limit.refused(15, 15, 4);
        while limit.is_lowered() {
            limit.accepted(4);
        }
        assert!(!limit.is_lowered());
        assert!(!limit.accepted(4));
    }

    // CONTRACT C19
    #[test]
    fn a_refusal_begins_the_count_anew() {
        let mut limit = Limit::default();
        limit.refused(1, 1, 10);
        for _ in 1..7 * CLEAN {
            limit.accepted(10);
        }
        limit.refused(3, 3, 10);
        assert!(!limit.accepted(10));
        assert_eq!(limit.of(10), 5);
    }
}
