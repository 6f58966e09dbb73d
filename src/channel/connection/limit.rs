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

/// All that bounds the streams of a connection.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) peer: u32,
    pub(super) own: Limit,
    pub(super) configured: u32,
    /// One stream is for the health watch, which is no call (CONTRACT G4).
    pub(super) has_watch: bool,
}

impl Limits {
    /// How many calls may be open.
    pub(super) fn calls(&self) -> u32 {
        let streams = self.own.of(self.peer);
        // h2's "no limit" stays one.
        let has_watch = self.has_watch && self.has_room_for_watch() && streams < u32::MAX;
        let calls = streams.saturating_sub(u32::from(has_watch));
        calls.min(self.configured)
    }

    /// Whether a watch leaves room for a call (CONTRACT G5). A limit of 0 is passing, and ends no
    /// stream that is open.
    pub(super) fn has_room_for_watch(&self) -> bool {
        self.own.of(self.peer) != 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT C7, G4, G5
    #[test]
    fn a_watch_takes_one_of_the_peer_s_streams_unless_there_is_one_only() {
        for (peer, configured, without, with) in [
            (0, 9, 0, 0),
            (1, 9, 1, 1),
            (2, 9, 2, 1),
            (9, 9, 9, 8),
            (9, 1, 1, 1),
            (u32::MAX, u32::MAX, u32::MAX, u32::MAX),
        ] {
            let mut limits = Limits {
                peer,
                own: Limit::default(),
                configured,
                has_watch: false,
            };
            assert_eq!(limits.calls(), without, "{peer}, {configured}");
            limits.has_watch = true;
            assert_eq!(limits.calls(), with, "{peer}, {configured}");
            assert_eq!(limits.has_room_for_watch(), peer != 1);
        }
    }

    // CONTRACT C19, G5
    #[test]
    fn an_own_limit_of_1_leaves_no_room_for_a_watch() {
        let mut limits = Limits {
            peer: 2,
            own: Limit::default(),
            configured: 9,
            has_watch: true,
        };
        limits.own.refused(3, 3, 2);
        assert_eq!((limits.calls(), limits.has_room_for_watch()), (1, false));
    }

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
        let next = (1..10 * CLEAN * lowered).find(|_| limit.accepted(100));
        assert_eq!(next, Some((lowered + 1) * CLEAN), "it takes as long");
        limit.refused(15, 15, 4);
        while limit.is_lowered() {
            limit.accepted(4);
        }
        assert!(!limit.is_lowered());
        assert!(!limit.accepted(4));
    }

    // CONTRACT C19
    #[test]
    fn a_limit_that_has_risen_to_the_peer_s_follows_it_from_then_on() {
        let mut limit = Limit::default();
        limit.refused(1, 1, 4);
        while !limit.accepted(4) {}
        assert_eq!(limit.of(100), 100);
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
