use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::allowance::FOR_BYTES;
use super::keepalive::Heard;
use super::served::Served;
use crate::channel::load::since;
use crate::kernel::sync::Mutex;

/// What is known of one connection from the frames that passed.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The channel's, so that a time of reading is one of the endpoint's load, too.
    epoch: Instant,
    /// SETTINGS frames of the peer.
    settings: AtomicU32,
    go_away: AtomicU64,
    text: Mutex<String>,
    /// The highest stream whose HEADERS the transport below took whole.
    opened: AtomicU32,
    /// A response to a call has begun.
    served: Served,
    /// The transport took less than it was given.
    is_blocked: AtomicBool,
    /// A write failed, so nothing more leaves.
    is_broken: AtomicBool,
    /// The peer sent more than it may (CONTRACT C18).
    is_flooded: AtomicBool,
    /// The keepalive found the peer silent.
    is_silent: AtomicBool,
    /// The endpoint was removed, and its calls have had their time.
    is_cut: AtomicBool,
    /// A call has failed because the connection was lost.
    is_loss_told: AtomicBool,
    /// When the last byte was read, in nanoseconds since the epoch.
    read_at: AtomicU64,
    /// When the last frame other than a PONG was read.
    heard_at: AtomicU64,
    /// Bytes of DATA received since the start.
    data: AtomicU64,
    /// Small pieces of messages that the peer's windows cut, since the last read.
    cuts: AtomicU32,
    /// Streams that the peer ended since they were last asked for.
    answers: AtomicU32,
}

/// The lowest GOAWAY of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GoAway {
    /// The highest stream that may have been processed.
    pub(crate) last: u32,
    /// The HTTP/2 error code.
    pub(crate) code: u32,
}

const PRESENT: u64 = 1 << 63;

impl Facts {
    /// Those of a connection that begins now.
    pub(crate) fn new(epoch: Instant) -> Self {
        let now = since(epoch);
        Self {
            epoch,
            settings: AtomicU32::new(0),
            go_away: AtomicU64::new(0),
            text: Mutex::default(),
            opened: AtomicU32::new(0),
            served: Served::default(),
            is_blocked: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            is_flooded: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            is_loss_told: AtomicBool::new(false),
            read_at: AtomicU64::new(now),
            heard_at: AtomicU64::new(now),
            data: AtomicU64::new(0),
            cuts: AtomicU32::new(0),
            answers: AtomicU32::new(0),
        }
    }

    pub(crate) fn settings(&self) -> u32 {
        self.settings.load(Ordering::Acquire)
    }

    pub(super) fn add_settings(&self) {
        self.settings.fetch_add(1, Ordering::AcqRel);
    }

    /// The GOAWAY with the lowest last stream.
    pub(crate) fn go_away(&self) -> Option<GoAway> {
        let word = self.go_away.load(Ordering::Acquire);
        (word & PRESENT != 0).then(|| GoAway {
            last: u32::try_from(word & 0x7fff_ffff).unwrap_or(u32::MAX),
            code: u32::try_from(word >> 31 & 0xffff_ffff).unwrap_or(u32::MAX),
        })
    }

    /// The peer closes the connection, and not because of an error.
    pub(crate) fn is_leaving(&self) -> bool {
        self.go_away().is_some_and(|it| it.code == 0)
    }

    /// Whether the call that asks is the first to fail by the loss of the connection.
    pub(crate) fn is_first_loss(&self) -> bool {
        !self.is_loss_told.swap(true, Ordering::Relaxed)
    }

    /// A GOAWAY with this payload arrived. A later one never raises the last stream (RFC 9113
    /// section 6.8); if it does, the lower one stays.
    pub(crate) fn add_go_away(&self, payload: &[u8]) {
        let Some((head, text)) = payload.split_first_chunk::<8>() else {
            return;
        };
        let [a, b, c, d, code @ ..] = *head;
        let last = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
        let last = self.go_away().map_or(last, |before| before.last.min(last));
        let word = PRESENT | u64::from(u32::from_be_bytes(code)) << 31 | u64::from(last);
        *self.text.lock() = String::from_utf8_lossy(text).into_owned();
        self.go_away.store(word, Ordering::Release);
    }

    /// The text of the last GOAWAY.
    pub(crate) fn text(&self) -> String {
        self.text.lock().clone()
    }

    pub(crate) fn opened(&self) -> u32 {
        self.opened.load(Ordering::Acquire)
    }

    pub(crate) fn add_opened(&self, stream: u32) {
        self.opened.fetch_max(stream, Ordering::AcqRel);
    }

    pub(crate) fn has_served(&self) -> bool {
        self.served.has_served()
    }

    /// A head of this stream was read. A peer can invent one of a stream that was not opened.
    pub(super) fn add_response(&self, stream: u32) {
        if !self.has_served() && stream <= self.opened() {
            self.served.responded(stream);
        }
    }

    /// A stream is being opened that is no call.
    pub(super) fn watch_opens(&self) {
        self.served.watch_opens();
    }

    /// It is this one, or was not opened; whether it is known only now that a call was served.
    pub(super) fn watch_opened(&self, stream: Option<u32>) -> bool {
        self.served.watch_opened(stream)
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    pub(super) fn set_broken(&self) {
        self.is_broken.store(true, Ordering::Release);
    }

    pub(crate) fn is_flooded(&self) -> bool {
        self.is_flooded.load(Ordering::Acquire)
    }

    pub(super) fn set_flooded(&self) {
        self.is_flooded.store(true, Ordering::Release);
        self.set_broken();
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    pub(super) fn set_cut(&self) {
        self.is_cut.store(true, Ordering::Release);
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Acquire)
    }

    pub(crate) fn set_silent(&self) {
        self.is_silent.store(true, Ordering::Release);
    }

    pub(crate) fn read_at(&self) -> Instant {
        self.epoch + Duration::from_nanos(self.read_nanos())
    }

    /// When the last byte was read, by the clock of the endpoint's load.
    #[inline]
    pub(crate) fn read_nanos(&self) -> u64 {
        self.read_at.load(Ordering::Relaxed)
    }

    pub(crate) fn heard_at(&self) -> Instant {
        self.epoch + Duration::from_nanos(self.heard_at.load(Ordering::Relaxed))
    }

    /// Both.
    pub(super) fn heard(&self) -> Heard {
        Heard {
            byte: self.read_at(),
            news: self.heard_at(),
        }
    }

    /// The time by that clock.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        since(self.epoch)
    }

    /// Bytes were read now; whether a frame other than a PONG was among them.
    pub(super) fn add_read(&self, has_news: bool, now: u64) {
        self.read_at.store(now, Ordering::Relaxed);
        if has_news {
            self.heard_at.store(now, Ordering::Relaxed);
        }
    }

    pub(crate) fn data(&self) -> u64 {
        self.data.load(Ordering::Relaxed)
    }

    pub(super) fn add_data(&self, length: usize) {
        self.data.fetch_add(length as u64, Ordering::Relaxed);
    }

    pub(super) fn add_answers(&self, streams: u32) {
        self.answers.fetch_add(streams, Ordering::Relaxed);
    }

    /// How many streams the peer has ended since this was asked.
    pub(super) fn take_answers(&self) -> u32 {
        self.answers.swap(0, Ordering::Relaxed)
    }

    /// The peer's windows cut a piece of this size off a message.
    #[cold]
    pub(crate) fn add_cut(&self, length: usize) {
        if length < FOR_BYTES {
            self.cuts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many small pieces were cut since the last read.
    pub(super) fn take_cuts(&self) -> u32 {
        match self.cuts.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.cuts.swap(0, Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT I4a
    #[tokio::test(start_paused = true)]
    async fn the_lowest_go_away_counts_and_none_is_raised_again() {
        let facts = Facts::new(Instant::now());
        assert_eq!(facts.go_away(), None);
        facts.add_go_away(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        let (last, code) = (0x7fff_ffff, 0);
        assert_eq!(facts.go_away(), Some(GoAway { last, code }));
        facts.add_go_away(b"\0\0\0\x05\0\0\0\x0btoo_many_pings");
        assert_eq!(facts.go_away(), Some(GoAway { last: 5, code: 11 }));
        assert_eq!(facts.text(), "too_many_pings");
        facts.add_go_away(b"\0\0\0\x09\xff\xff\xff\xff");
        let (last, code) = (5, u32::MAX);
        assert_eq!(facts.go_away(), Some(GoAway { last, code }));
        facts.add_go_away(b"\0\0\0");
        assert_eq!(facts.go_away(), Some(GoAway { last, code }));
    }

    // CONTRACT C3, G4
    #[tokio::test(start_paused = true)]
    async fn a_response_to_a_watch_or_on_a_stream_that_was_not_opened_serves_no_call() {
        let facts = Facts::new(Instant::now());
        facts.add_opened(3);
        facts.watch_opens();
        facts.add_response(1);
        assert!(!facts.watch_opened(Some(1)));
        facts.add_response(5);
        assert!(!facts.has_served());
        facts.add_response(3);
        assert!(facts.has_served());
    }

    // CONTRACT O2
    #[tokio::test(start_paused = true)]
    async fn one_call_is_told_that_the_connection_was_lost() {
        let facts = Facts::new(Instant::now());
        assert!(facts.is_first_loss());
        assert!(!facts.is_first_loss());
    }

    // CONTRACT C18
    #[tokio::test(start_paused = true)]
    async fn small_pieces_count_once() {
        let facts = Facts::new(Instant::now());
        facts.add_cut(FOR_BYTES);
        assert_eq!(facts.take_cuts(), 0);
        facts.add_cut(FOR_BYTES - 1);
        facts.add_cut(1);
        assert_eq!((facts.take_cuts(), facts.take_cuts()), (2, 0));
    }

    // CONTRACT C5
    #[tokio::test(start_paused = true)]
    async fn a_peer_leaves_by_a_go_away_without_an_error() {
        for (code, is_leaving) in [(0, true), (11, false)] {
            let facts = Facts::new(Instant::now());
            assert!(!facts.is_leaving());
            facts.add_go_away(&[0, 0, 0, 5, 0, 0, 0, code]);
            assert_eq!(facts.is_leaving(), is_leaving);
        }
    }

    // CONTRACT C18
    #[tokio::test(start_paused = true)]
    async fn nothing_leaves_after_a_flood() {
        let facts = Facts::new(Instant::now());
        facts.set_flooded();
        assert!(facts.is_flooded() && facts.is_broken());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pong_is_a_sign_of_life_and_no_news() {
        let start = Instant::now();
        let facts = Facts::new(start);
        tokio::time::advance(Duration::from_secs(3)).await;
        facts.add_read(true, facts.now());
        tokio::time::advance(Duration::from_secs(4)).await;
        facts.add_read(false, facts.now());
        assert_eq!(facts.read_at(), start + Duration::from_secs(7));
        assert_eq!(facts.heard_at(), start + Duration::from_secs(3));
    }
}
