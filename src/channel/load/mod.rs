//! What the calls of one endpoint leave behind.

mod decaying;
mod latency;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::eject::{Blame, Tally};
use decaying::Decaying;
use latency::Latency;

/// What the calls of one endpoint leave behind, for pickers and snapshots.
///
/// It is written by every call of the endpoint and by no other's, so it has cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Load {
    in_flight: AtomicU32,
    latency: Latency,
    failures: Decaying<FAILURE_TICK>,
    calls: Decaying<CALLS_TICK>,
    /// When the endpoint became ready, in nanoseconds since the epoch; the ramp of its weight
    /// begins then.
    ready_at: AtomicU64,
    /// When it ceased to be ready, plus one; 0 if it never was, or is ready.
    lost_at: AtomicU64,
    /// The channel's, so that one reading of the clock does for all endpoints.
    epoch: Instant,
    /// `None` if no endpoint is ejected.
    tally: Option<Tally>,
}

/// A 16th of the half-life of a failure: 1 s.
const FAILURE_TICK: u64 = 1_000_000_000 / 16;
/// A 16th of the half-life of the calls that an endpoint's share is of: 8 s.
const CALLS_TICK: u64 = 500_000_000;
/// How long the weight of a new endpoint rises (CONTRACT L3).
const RAMP: u64 = 2_000_000_000;
/// An endpoint that was not ready for less than this is not new: its connection was replaced.
const REPLACED: u64 = 1_000_000_000;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    /// It weighs as a slow one. What ejection takes it for.
    Failed(Blame),
    /// The caller gave it up.
    Dropped,
}

impl Load {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            latency: Latency::default(),
            failures: Decaying::default(),
            calls: Decaying::default(),
            ready_at: AtomicU64::new(0),
            lost_at: AtomicU64::new(0),
            epoch,
            tally: None,
        }
    }

    /// What its times count from.
    pub(crate) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// This time by its clock, in nanoseconds since the epoch.
    pub(crate) fn at(&self, nanos: u64) -> Instant {
        self.epoch + Duration::from_nanos(nanos)
    }

    /// Counts for ejection, too.
    pub(crate) fn counted(self, tally: Option<Tally>) -> Self {
        Self { tally, ..self }
    }

    pub(crate) fn tally(&self) -> Option<&Tally> {
        self.tally.as_ref()
    }

    /// Nanoseconds since the channel's epoch.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        since(self.epoch)
    }

    /// A call begins.
    #[inline]
    pub(crate) fn begin(&self, now: u64) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.calls.add(now);
    }

    /// The first message of an answer came at `now`, to a call that began at `start`.
    #[inline]
    pub(crate) fn answered(&self, start: u64, now: u64) {
        self.latency.add(now, now.saturating_sub(start));
    }

    /// A call that began at `start` is over. Only `is_measured` if a message came before.
    #[inline]
    pub(crate) fn end(&self, start: u64, is_measured: bool, ended: Ended) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        match (is_measured, ended) {
            (true, Ended::Well) => {
                if let Some(tally) = &self.tally {
                    // Its message has just come, or another call's has: the clock is not read.
                    tally.answered(self.latency.last_millis());
                }
                return;
            }
            (true, Ended::Dropped) => return,
            _ => {}
        }
        let now = self.now();
        let took = now.saturating_sub(start);
        match (is_measured, ended) {
            (false, Ended::Well) => self.latency.add(now, took),
            (false, _) => self.latency.add_at_least(now, took),
            (true, _) => {}
        }
        match (ended, &self.tally) {
            (Ended::Well, Some(tally)) => tally.answered(Latency::millis(now)),
            (Ended::Failed(blame), tally) => {
                self.failures.add(now);
                if let Some(tally) = tally {
                    tally.failed(now, blame);
                }
            }
            _ => {}
        }
    }

    /// A call that was to begin did not: nothing was sent.
    pub(crate) fn unsent(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Calls in flight, and failed ones: each counts as one more call that is still in flight, half
    /// as much every second. So an endpoint that fails fast is not taken for one that is free.
    #[inline]
    pub(crate) fn weighed(&self, now: u64) -> u32 {
        self.in_flight().saturating_add(self.failures.whole(now))
    }

    /// The latency as it counts for a pick.
    #[inline]
    pub(crate) fn latency_at_pick(&self, now: u64) -> u64 {
        self.latency.at_pick(now)
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        self.latency.last()
    }

    /// Recent calls, those of 8 s ago by half.
    pub(crate) fn recent_calls(&self, now: u64) -> f64 {
        self.calls.exact(now)
    }

    /// Recent failures, those of 1 s ago by half.
    pub(crate) fn recent_failures(&self, now: u64) -> f64 {
        self.failures.exact(now)
    }

    /// The endpoint is ready, or is not any more.
    pub(crate) fn set_ready(&self, is_ready: bool) {
        let now = self.now();
        if !is_ready {
            return self.lost_at.store(now + 1, Ordering::Relaxed);
        }
        let lost = self.lost_at.swap(0, Ordering::Relaxed);
        let is_replaced = lost != 0 && now < lost + REPLACED;
        if !is_replaced {
            self.ready_at.store(now, Ordering::Relaxed);
        }
    }

    /// The endpoint is in the set again: its weight rises as that of a new one.
    pub(crate) fn begin_anew(&self) {
        self.ready_at.store(self.now(), Ordering::Relaxed);
    }

    /// How much of its weight a new endpoint has, in 256ths; `None` once it has all of it.
    #[inline]
    pub(crate) fn ramp(&self, now: u64) -> Option<u32> {
        let age = now.saturating_sub(self.ready_at.load(Ordering::Relaxed));
        if age >= RAMP {
            return None;
        }
        // At first it has a little: an endpoint without any would never be measured.
        Some(u32::try_from(age * 256 / RAMP).unwrap_or(0).max(8))
    }
}

#[inline]
pub(crate) fn since(epoch: Instant) -> u64 {
    let passed = Instant::now().saturating_duration_since(epoch);
    passed
        .as_secs()
        .wrapping_mul(1_000_000_000)
        .wrapping_add(u64::from(passed.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const S: u64 = 1_000_000_000;

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn a_failed_call_weighs_as_one_in_flight_and_less_and_less() {
        let load = Load::new(Instant::now());
        load.begin(0);
        load.begin(0);
        assert_eq!(load.weighed(0), 2);
        load.end(0, false, Ended::Failed(Blame::None));
        assert_eq!((load.in_flight(), load.weighed(0)), (1, 2));
        load.end(0, true, Ended::Well);
        assert_eq!((load.in_flight(), load.weighed(0)), (0, 1));
        assert_eq!(load.weighed(S), 0);
        let half = load.recent_failures(S);
        assert!((half - 0.5).abs() < 0.01, "{half}");
    }

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn the_latency_of_a_call_is_that_of_its_first_message_or_else_of_its_end() {
        let load = Load::new(Instant::now());
        let last = || load.latency().map(|it| it.as_millis());
        advance(Duration::from_millis(8)).await;
        load.end(0, false, Ended::Well);
        assert_eq!(last(), Some(8));
        load.answered(0, load.now());
        advance(Duration::from_secs(3_600)).await;
        load.end(0, true, Ended::Well);
        load.end(0, true, Ended::Dropped);
        load.end(0, true, Ended::Failed(Blame::None));
        assert_eq!(
            last(),
            Some(8),
            "a stream that went on for an hour is not slow"
        );
        let start = load.now();
        advance(Duration::from_millis(4)).await;
        load.end(start, false, Ended::Dropped);
        load.end(start, false, Ended::Failed(Blame::None));
        // After an hour the average counts for nothing, and these calls are the news.
        assert_eq!(last(), Some(4));
        advance(Duration::from_millis(2)).await;
        let fast = load.now();
        load.end(fast, false, Ended::Dropped);
        load.end(fast, false, Ended::Failed(Blame::None));
        assert_eq!(last(), Some(4), "a call that ends early is not fast");
    }

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn the_weight_of_a_new_endpoint_rises_over_two_seconds() {
        let load = Load::new(Instant::now());
        advance(Duration::from_secs(10)).await;
        load.set_ready(true);
        assert_eq!(load.ramp(10 * S), Some(8));
        assert_eq!(load.ramp(11 * S), Some(128));
        assert_eq!(load.ramp(12 * S), None);
    }

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn an_endpoint_whose_connection_was_replaced_is_not_new() {
        let load = Load::new(Instant::now());
        load.set_ready(true);
        advance(Duration::from_secs(10)).await;
        load.set_ready(false);
        advance(Duration::from_millis(900)).await;
        load.set_ready(true);
        assert_eq!(load.ramp(load.now()), None);
        load.set_ready(false);
        advance(Duration::from_millis(1_100)).await;
        load.set_ready(true);
        assert_eq!(load.ramp(load.now()), Some(8), "it was away");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_sent_leaves_no_latency() {
        let load = Load::new(Instant::now());
        load.begin(0);
        load.unsent();
        assert_eq!((load.in_flight(), load.latency()), (0, None));
    }

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn a_call_that_fails_after_its_first_message_is_a_failure_and_a_dropped_one_is_not() {
        let load = Load::new(Instant::now());
        (0..3).for_each(|_| load.begin(0));
        load.end(0, true, Ended::Failed(Blame::Both));
        assert_eq!((load.in_flight(), load.weighed(0)), (2, 3));
        load.end(0, true, Ended::Dropped);
        load.end(0, false, Ended::Dropped);
        assert_eq!((load.in_flight(), load.weighed(0)), (0, 1));
    }

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn each_kind_of_end_leaves_its_latency() {
        let millis = |load: &Load| load.latency().unwrap().as_millis();
        for (ended, slow, fast) in [
            (Ended::Well, 80, 70),
            (Ended::Failed(Blame::Both), 80, 80),
            (Ended::Dropped, 80, 80),
        ] {
            let load = Load::new(Instant::now());
            advance(Duration::from_millis(80)).await;
            load.end(0, false, ended);
            assert_eq!(millis(&load), slow, "{ended:?}");
            // An eighth of the way to 8 ms, if it says that calls are fast.
            let start = load.now();
            advance(Duration::from_millis(8)).await;
            load.end(start, false, ended);
            assert_eq!(millis(&load), fast, "{ended:?}");
        }
    }

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn an_endpoint_of_a_young_channel_is_new() {
        let load = Load::new(Instant::now());
        advance(Duration::from_millis(900)).await;
        load.set_ready(true);
        assert_eq!(load.ramp(load.now()), Some(8));
    }
}
