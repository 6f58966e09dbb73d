//! How many frames a peer may send that no call asked for (CONTRACT C18). Pure.
//!
//! h2 bounds CONTINUATION frames (by the largest list of headers), resets of unknown streams, small
//! DATA frames that lie unread, and empty ones. It does not bound SETTINGS, PINGs, window updates,
//! resets of known streams, frames of unknown kinds, interim responses, and bytes that arrive one
//! by one. This does.

use super::frames::{DATA, END_STREAM, Frame, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE};

/// What a peer may spend at once. A server that floods is dialled some 16 times in the first ten
/// seconds, and each of its connections costs this.
const BURST: u64 = 100;
/// What it may spend in a second from then on. A frame that comes alone wakes the connection's
/// task, which reads and writes an answer: 40 to 60 us, so that this is half a percent of a core.
const A_SECOND: u64 = BURST;
/// The nanoseconds for each of them.
const EACH: u64 = 1_000_000_000 / A_SECOND;
/// How many frames the peer may answer to each frame that this side sends: window updates of the
/// stream and the connection, a PING to measure the round trip, a reset.
const FOR_A_FRAME: u64 = 4;
/// The peer may answer one frame more for each time this number of bytes is sent, as peers with
/// small buffers do.
pub(super) const FOR_BYTES: usize = 1_024;
/// What is due for frames of this side is not saved up beyond this.
const MOST_DUE: u64 = 1 << 17;
/// A second head of a response before its last is an interim one, which no gRPC server sends, and
/// which h2 keeps until the call is polled: up to 80 KiB of memory. So a peer may send eight.
const INTERIM: u64 = BURST / 8;
/// h2 visits all open streams for SETTINGS.
const OF_SETTINGS: u64 = 10;
/// A message of gRPC has five bytes before it, so a DATA frame of less is a piece of one: the rest
/// of a message that did not fit into the frame before it, or a flood.
const PIECE: usize = 5;
/// A read that brings less than this and ends no frame.
pub(super) const CRUMB: usize = 64;

/// What one peer may still send.
#[derive(Debug)]
pub(super) struct Allowance {
    /// For frames that answer none of this side's.
    left: u64,
    /// For frames that may answer some.
    due: u64,
    /// How many short frames may come as the rest of messages that large frames began.
    pieces: u64,
    /// In nanoseconds.
    refilled: u64,
    heads: Heads,
}

/// The peer sent more than it may; the kind of the last frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flood(pub(super) u8);

/// Streams whose response has begun, for the last 4,096 that were opened: one bit each.
#[derive(Debug)]
struct Heads(Box<[u64; 64]>);

impl Heads {
    fn bit(&mut self, stream: u32) -> Option<(&mut u64, u64)> {
        let place = stream >> 1 & 0xfff;
        let word = self.0.get_mut(usize::try_from(place >> 6).ok()?)?;
        Some((word, 1 << (place & 63)))
    }

    fn opened(&mut self, stream: u32) {
        if let Some((word, bit)) = self.bit(stream) {
            *word &= !bit;
        }
    }

    /// A head that is not the last of its stream; whether another one was before it.
    fn has_begun(&mut self, stream: u32) -> bool {
        let Some((word, bit)) = self.bit(stream) else {
            return false;
        };
        let before = *word & bit != 0;
        *word |= bit;
        before
    }
}

impl Allowance {
    pub(super) fn new(now: u64) -> Self {
        Self {
            left: BURST,
            due: 0,
            pieces: 0,
            refilled: now,
            heads: Heads(Box::new([0; 64])),
        }
    }

    /// This side sent a frame with this many bytes.
    pub(super) fn sent(&mut self, frame: &Frame<'_>) {
        let is_piece = frame.kind == DATA && frame.length < PIECE && !frame.has(END_STREAM);
        if matches!(frame.kind, HEADERS | DATA) && !is_piece {
            let due = FOR_A_FRAME + (frame.length / FOR_BYTES) as u64;
            self.due = (self.due + due).min(MOST_DUE);
        }
        if frame.kind == HEADERS {
            self.heads.opened(frame.stream);
        }
    }

    /// Messages left in this number of pieces of less than [`FOR_BYTES`], because the peer opened
    /// its window by a few bytes at a time. Such pieces give it no allowance.
    #[cold]
    pub(super) fn cut(&mut self, pieces: u32) {
        let due = u64::from(pieces) * FOR_A_FRAME;
        self.due = self.due.saturating_sub(due);
    }

    /// Bytes were read at `now`.
    pub(super) fn refill(&mut self, now: u64) {
        let more = now.saturating_sub(self.refilled) / EACH;
        if more > 0 {
            self.left = self.left.saturating_add(more).min(BURST);
            // The rest counts the next time.
            self.refilled += more * EACH;
        }
    }

    /// The peer sent this frame.
    pub(super) fn received(&mut self, frame: &Frame<'_>) -> Result<(), Flood> {
        let is_last = frame.has(END_STREAM);
        let junk = 1 + (frame.length / FOR_BYTES) as u64;
        let is_allowed = match frame.kind {
            DATA if frame.length >= PIECE => {
                if frame.length >= FOR_BYTES {
                    self.pieces = (self.pieces + 1).min(BURST);
                }
                true
            }
            DATA if frame.length > 0 && self.pieces > 0 => {
                self.pieces -= 1;
                true
            }
            HEADERS if !is_last && self.heads.has_begun(frame.stream) => self.spend(INTERIM),
            DATA | HEADERS | WINDOW_UPDATE | RST_STREAM => self.answers() || self.spend(1),
            SETTINGS => self.spend(OF_SETTINGS + junk),
            _ => self.spend(junk) || self.answers(),
        };
        is_allowed.then_some(()).ok_or(Flood(frame.kind))
    }

    /// A few bytes arrived that end no frame; `kind` is the frame's.
    pub(super) fn crumb(&mut self, kind: u8) -> Result<(), Flood> {
        let is_allowed = self.answers() || self.spend(1);
        is_allowed.then_some(()).ok_or(Flood(kind))
    }

    fn spend(&mut self, cost: u64) -> bool {
        let left = self.left.checked_sub(cost);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    fn answers(&mut self) -> bool {
        let due = self.due.checked_sub(1);
        self.due = due.unwrap_or(0);
        due.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{GO_AWAY, PING};
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Frame<'static> {
        Frame {
            kind,
            flags,
            stream,
            length,
            payload: &[],
        }
    }

    /// How many of these frames are allowed at once, 1,000,000 at most.
    fn allowed(allowance: &mut Allowance, frame: Frame<'_>) -> usize {
        let frames = (0..1_000_000).take_while(|_| allowance.received(&frame).is_ok());
        frames.count()
    }

    // CONTRACT C18
    #[test]
    fn what_no_call_asked_for_is_bounded() {
        for (kind, length, expected) in [
            (PING, 8, 100),
            (WINDOW_UPDATE, 4, 100),
            (RST_STREAM, 4, 100),
            (DATA, 0, 100),
            (DATA, 4, 100),
            (HEADERS, 1, 1 + 8),
            (SETTINGS, 0, 100 / 11),
            (SETTINGS, 6_000, 100 / 16),
            (GO_AWAY, 8, 100),
            (200, 0, 100),
            (200, 16_384, 100 / 17),
            (DATA, PIECE, 1_000_000),
        ] {
            let mut allowance = Allowance::new(0);
            let found = allowed(&mut allowance, frame(kind, 0, 1, length));
            assert_eq!(found, expected, "kind {kind}, {length} bytes");
        }
        let mut allowance = Allowance::new(0);
        let crumbs = (0..10_000).take_while(|_| allowance.crumb(DATA).is_ok());
        assert_eq!(crumbs.count(), 100);
    }

    // CONTRACT C18
    #[test]
    fn a_hundred_more_are_allowed_in_each_second() {
        let mut allowance = Allowance::new(7);
        let ping = frame(PING, 0, 0, 8);
        assert_eq!(allowed(&mut allowance, ping), 100);
        let mut now = 7;
        let mut more = 0;
        for _ in 0..10_000 {
            now += 300_000;
            allowance.refill(now);
            more += allowed(&mut allowance, ping);
        }
        assert_eq!(more, 300);
        allowance.refill(now + 60_000_000_000);
        assert_eq!(allowed(&mut allowance, ping), 100, "it is not saved up");
    }

    // CONTRACT C18
    #[test]
    fn what_answers_calls_is_not_counted() {
        let mut allowance = Allowance::new(0);
        for call in 0..100_000 {
            let stream = call * 2 + 1;
            allowance.sent(&frame(HEADERS, 0, stream, 200));
            allowance.sent(&frame(DATA, END_STREAM, stream, 9));
            for answer in [
                frame(WINDOW_UPDATE, 0, 0, 4),
                frame(WINDOW_UPDATE, 0, stream, 4),
                frame(HEADERS, 0, stream, 80),
                frame(DATA, 0, stream, 9),
                frame(HEADERS, END_STREAM, stream, 30),
                frame(RST_STREAM, 0, stream, 4),
            ] {
                assert_eq!(allowance.received(&answer), Ok(()), "call {call}");
            }
        }
        assert_eq!(allowance.left, BURST);
        assert!(allowance.due > MOST_DUE - 8, "{}", allowance.due);
    }

    // CONTRACT C18
    #[test]
    fn a_server_with_small_buffers_may_update_windows_often() {
        let mut allowance = Allowance::new(0);
        for _ in 0..1_000 {
            allowance.sent(&frame(DATA, 0, 1, 16_384));
            let updates = (0..8).map(|_| allowance.received(&frame(WINDOW_UPDATE, 0, 1, 4)));
            assert!(updates.into_iter().all(|it| it.is_ok()));
        }
        assert_eq!(allowance.left, BURST);
        let pings = allowed(&mut allowance, frame(PING, 0, 0, 8));
        assert!(
            pings > 1_000,
            "PINGs that measure the round trip of an upload"
        );
    }

    // CONTRACT C18
    #[test]
    fn a_server_that_opens_its_window_by_a_few_bytes_at_a_time_earns_nothing_by_it() {
        let update = frame(WINDOW_UPDATE, 0, 1, 4);
        for (length, pieces) in [(1, 0), (PIECE - 1, 0), (PIECE, 1), (FOR_BYTES - 1, 1)] {
            let mut allowance = Allowance::new(0);
            let updates = (0..100_000).take_while(|_| {
                allowance.sent(&frame(DATA, 0, 1, length));
                allowance.cut(pieces);
                allowance.received(&update).is_ok()
            });
            assert_eq!(updates.count(), 100, "pieces of {length} bytes");
        }
        let mut allowance = Allowance::new(0);
        for _ in 0..100_000 {
            // Whole messages, the last of a stream among them.
            allowance.sent(&frame(DATA, 0, 1, PIECE));
            allowance.sent(&frame(DATA, END_STREAM, 3, 0));
            for _ in 0..8 {
                assert_eq!(allowance.received(&update), Ok(()));
            }
        }
        assert_eq!(allowance.left, BURST);
    }

    // CONTRACT C18
    #[test]
    fn the_last_bytes_of_messages_that_did_not_fit_into_a_frame_are_no_flood() {
        let (full, rest) = (frame(DATA, 0, 1, 16_384), frame(DATA, 0, 1, PIECE - 1));
        let mut allowance = Allowance::new(0);
        for _ in 0..100_000 {
            // Those of two streams come in turn.
            for part in [&full, &full, &rest, &rest] {
                assert_eq!(allowance.received(part), Ok(()));
            }
        }
        assert_eq!(allowance.left, BURST);
        assert_eq!(allowance.received(&full), Ok(()));
        let empty = allowed(&mut allowance, frame(DATA, 0, 1, 0));
        assert_eq!(empty, 100, "an empty frame is no piece");
        // What large frames leave is not saved up beyond the burst.
        let mut allowance = Allowance::new(0);
        (0..1_000).for_each(|_| assert_eq!(allowance.received(&full), Ok(())));
        assert_eq!(allowed(&mut allowance, rest), 2 * 100);
    }

    // CONTRACT C18
    #[test]
    fn only_a_frame_of_1_kib_or_more_has_a_rest_in_another_frame() {
        for (length, pieces) in [(FOR_BYTES, 1), (FOR_BYTES - 1, 0)] {
            let mut allowance = Allowance::new(0);
            assert_eq!(allowance.received(&frame(DATA, 0, 1, length)), Ok(()));
            let found = allowed(&mut allowance, frame(DATA, 0, 1, PIECE - 1));
            assert_eq!(found, 100 + pieces, "{length} bytes");
        }
    }

    // CONTRACT C18
    #[test]
    fn answers_that_calls_leave_open_are_saved_up_to_a_limit_and_no_further() {
        let mut allowance = Allowance::new(0);
        for call in 0..200_000 {
            allowance.sent(&frame(HEADERS, END_STREAM, call * 2 + 1, 200));
        }
        let resets = allowed(&mut allowance, frame(RST_STREAM, 0, 1, 4));
        assert_eq!(resets, (1 << 17) + 100);
    }

    // CONTRACT C18
    #[test]
    fn the_heads_of_4_096_streams_at_a_time_are_told_apart() {
        let mut allowance = Allowance::new(0);
        let streams = || (1..2 * 4_096).step_by(2);
        streams().for_each(|it| allowance.sent(&frame(HEADERS, END_STREAM, it, 10)));
        for stream in streams() {
            assert_eq!(allowance.received(&frame(HEADERS, 0, stream, 10)), Ok(()));
        }
        assert_eq!(allowance.left, BURST);
    }

    // CONTRACT C18
    #[test]
    fn bytes_one_by_one_may_be_the_answers_to_calls() {
        let mut allowance = Allowance::new(0);
        allowance.sent(&frame(HEADERS, END_STREAM, 1, 200));
        let crumbs = (0..10_000).take_while(|_| allowance.crumb(HEADERS).is_ok());
        assert_eq!(crumbs.count(), 100 + 4);
    }

    // CONTRACT C18
    #[test]
    fn pings_now_and_then_use_up_nothing_of_what_calls_may_be_answered_with() {
        let mut allowance = Allowance::new(0);
        allowance.sent(&frame(HEADERS, END_STREAM, 1, 200));
        for second in 1..100 {
            allowance.refill(second * 1_000_000_000);
            assert_eq!(allowance.received(&frame(PING, 0, 0, 8)), Ok(()));
        }
        allowance.refill(100_000_000_000);
        let resets = allowed(&mut allowance, frame(RST_STREAM, 0, 1, 4));
        assert_eq!(resets, 100 + 4);
    }

    // CONTRACT C18
    #[test]
    fn what_this_side_sends_for_no_call_pays_for_no_flood() {
        // It answers each PING and each SETTINGS with a frame, so these would pay for themselves.
        for (kind, length) in [
            (PING, 8),
            (SETTINGS, 0),
            (WINDOW_UPDATE, 4),
            (RST_STREAM, 4),
        ] {
            let mut allowance = Allowance::new(0);
            (0..100).for_each(|_| allowance.sent(&frame(kind, 0, 0, length)));
            let pings = allowed(&mut allowance, frame(PING, 0, 0, 8));
            assert_eq!(pings, 100, "after frames of kind {kind}");
        }
    }

    // CONTRACT C18
    #[test]
    fn the_heads_of_many_streams_are_no_interim_responses() {
        let mut allowance = Allowance::new(0);
        for stream in (1..40_000).step_by(2) {
            allowance.sent(&frame(HEADERS, 0, stream, 10));
            let head = frame(HEADERS, 0, stream, 10);
            assert_eq!(allowance.received(&head), Ok(()));
        }
        assert_eq!(allowance.left, BURST);
        let head = frame(HEADERS, 0, 39_999, 10);
        assert_eq!(allowed(&mut allowance, head), 8);
    }
}
