use std::time::Duration;

use tokio::time::Instant;

use super::outage::after;

/// The current probe: the call with this number dials for all. Another call takes it over if its
/// owner does not poll it, or after a time limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunningProbe {
    pub(crate) number: u64,
    began: Instant,
    pub(crate) until: Instant,
    /// Since when its owner should have polled it: from its beginning, and again after each wake-up
    /// from its dial.
    owed: Option<Instant>,
    /// When its request was first read, if that does not prove an open stream.
    read: Option<Instant>,
    /// It follows a lost connection: the transport may have handed its request to the ending
    /// connection, and not notice until the next request comes (FIELD.md 5).
    follows_loss: bool,
    /// When the previous probe was abandoned: its dial went on, and the error of that dial may have
    /// been kept for this probe.
    pub(crate) abandoned: Option<Instant>,
}

/// After this time a probe counts as a failed dial, and another may be made. Over a foreign channel
/// the connect timeout is the user's and is not known: a shorter limit would put a second dial
/// behind one that is still under way (CONTRACT W6). It is gRPC's minimum connect timeout.
pub(crate) const LEASE: Duration = Duration::from_secs(20);

/// How late an owner may poll its probe. A busy runtime is late by less; later than that, the owner
/// has put the future aside.
const GRACE: Duration = Duration::from_millis(250);

/// A request that was read, and whose call has not failed after this time, is on an open stream.
const LIVES: Duration = Duration::from_millis(250);

/// How often the watching calls check, during a dial, that its owner still polls it.
const CHECK: Duration = Duration::from_millis(500);

impl RunningProbe {
    pub(crate) fn begins(
        number: u64,
        follows_loss: bool,
        abandoned: Option<Instant>,
        now: Instant,
    ) -> Self {
        Self {
            number,
            began: now,
            until: after(now, LEASE),
            owed: Some(now),
            read: None,
            follows_loss,
            abandoned,
        }
    }

    /// Records a wake-up from its dial.
    pub(crate) fn woke(&mut self, now: Instant) {
        self.owed.get_or_insert(now);
    }

    /// Records a poll by its owner.
    pub(crate) fn polled(&mut self) {
        self.owed = None;
    }

    /// Records that its request is read.
    pub(crate) fn read(&mut self, now: Instant) {
        self.read.get_or_insert(now);
    }

    /// Whether its stream is open, judged by the time since its request was read.
    pub(crate) fn lives(&self, now: Instant) -> bool {
        self.read.is_some_and(|read| now >= after(read, LIVES))
    }

    /// When another call may take it over, if nothing changes (CONTRACT W11).
    pub(crate) fn is_lost_at(&self, pause: Duration) -> Instant {
        let unpolled = self.owed.map(|since| after(since, pause.max(GRACE)));
        let earlier = [unpolled, self.is_forgotten_at()].into_iter().flatten();
        earlier.fold(self.until, Instant::min)
    }

    /// When another call joins it, which makes the transport notice the request.
    fn is_forgotten_at(&self) -> Option<Instant> {
        let may_be = self.follows_loss && self.read.is_none();
        may_be.then(|| after(self.began, GRACE))
    }

    /// When to check it next: one of a few fixed moments, so that arriving calls do not postpone
    /// the check.
    pub(crate) fn next_look(&self, pause: Duration, now: Instant) -> Instant {
        if self.owed.is_some() || self.is_forgotten_at().is_some() {
            return self.is_lost_at(pause);
        }
        let passed = now.saturating_duration_since(self.began);
        let looks = u32::try_from(passed.as_millis() / CHECK.as_millis()).unwrap_or(u32::MAX);
        let next = CHECK.saturating_mul(looks.saturating_add(1));
        let next = after(self.began, next).min(self.until);
        self.read.map_or(next, |read| next.min(after(read, LIVES)))
    }
}
