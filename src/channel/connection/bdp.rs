//! How large the flow-control windows are to be: an estimate of bandwidth x round trip by PINGs, as
//! gRPC's implementations have it (`http2_adaptive_window`). Pure.

use std::time::Duration;

use tokio::time::Instant;

/// No window grows beyond this, gRPC's limit, whatever a peer sends.
pub(super) const LARGEST: u32 = 16 << 20;

/// Once a sample does not let the window grow, this passes before the next one ..
const PAUSE: Duration = Duration::from_millis(100);
/// .. twice as long after each further one, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The estimate for one connection.
///
/// A PING is sent only after DATA was read, and not before the earlier one is answered. Servers
/// that count PINGs forget them when they send DATA, so these never add up to too many (gRFC A8).
#[derive(Debug)]
pub(super) struct Estimate {
    window: u32,
    sample: Option<Sample>,
    /// Bytes of DATA that were read when the last sample ended.
    seen: u64,
    /// The smoothed round trip.
    round_trip: Option<Duration>,
    /// The highest bandwidth of a sample, in bytes a second.
    bandwidth: f64,
    not_before: Option<Instant>,
    pause: Duration,
}

/// A PING under way.
#[derive(Debug)]
struct Sample {
    since: Instant,
    /// Bytes of DATA that had been read when it was sent.
    from: u64,
}

impl Estimate {
    pub(super) fn new(window: u32) -> Self {
        Self {
            window,
            sample: None,
            seen: 0,
            round_trip: None,
            bandwidth: 0.0,
            not_before: None,
            pause: PAUSE,
        }
    }

    /// Whether to send a PING now, after `data` bytes of DATA; then it counts as sent.
    pub(super) fn wants_ping(&mut self, data: u64, now: Instant) -> bool {
        let is_due = self.not_before.is_none_or(|at| at <= now);
        let wants = self.sample.is_none() && is_due && data > self.seen && self.window < LARGEST;
        if wants {
            let from = data;
            self.sample = Some(Sample { since: now, from });
        }
        wants
    }

    /// The PING was answered, after `data` bytes of DATA; the new window, if it grows.
    pub(super) fn answered(&mut self, data: u64, now: Instant) -> Option<u32> {
        let Sample { since, from } = self.sample.take()?;
        self.seen = data;
        let took = now.saturating_duration_since(since);
        let round_trip = match self.round_trip {
            Some(before) => (before * 7 + took) / 8,
            None => took,
        };
        self.round_trip = Some(round_trip);
        let bytes = u32::try_from(data.saturating_sub(from)).unwrap_or(u32::MAX);
        // No timer is finer than this.
        let seconds = round_trip.max(Duration::from_micros(1)).as_secs_f64();
        let bandwidth = f64::from(bytes) / seconds;
        let is_faster = bandwidth > self.bandwidth;
        self.bandwidth = self.bandwidth.max(bandwidth);
        // A window that was two thirds full within a round trip holds the peer up.
        if is_faster && bytes >= self.window / 3 * 2 {
            self.window = bytes.saturating_mul(2).clamp(self.window, LARGEST);
            self.pause = PAUSE;
            return Some(self.window);
        }
        self.not_before = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    // CONTRACT C14
    #[tokio::test(start_paused = true)]
    async fn the_window_grows_to_twice_of_what_fills_it_in_a_round_trip() {
        let start = Instant::now();
        let mut estimate = Estimate::new(60_000);
        assert!(!estimate.wants_ping(0, start), "nothing was read");
        assert!(estimate.wants_ping(1_000, start));
        assert!(!estimate.wants_ping(2_000, start), "one at a time");
        let grown = estimate.answered(51_000, start + 100 * MS);
        assert_eq!(grown, Some(100_000));
        assert!(estimate.wants_ping(52_000, start + 100 * MS));
        let grown = estimate.answered(132_000, start + 200 * MS);
        assert_eq!(grown, Some(160_000));
    }

    // CONTRACT C14
    #[tokio::test(start_paused = true)]
    async fn a_window_that_is_not_full_or_not_faster_stays() {
        let start = Instant::now();
        let mut estimate = Estimate::new(60_000);
        assert!(estimate.wants_ping(1, start));
        assert_eq!(estimate.answered(39_999, start + 100 * MS), None);
        let mut estimate = Estimate::new(60_000);
        assert!(estimate.wants_ping(1, start));
        assert!(estimate.answered(60_001, start + MS).is_some());
        assert!(estimate.wants_ping(60_002, start + MS));
        let slow = estimate.answered(180_002, start + 1_000 * MS);
        assert_eq!(slow, None, "a queue on the way, and no bandwidth");
    }

    // CONTRACT C14
    #[tokio::test(start_paused = true)]
    async fn one_slow_round_trip_holds_up_no_growth() {
        let start = Instant::now();
        let mut estimate = Estimate::new(60_000);
        assert!(estimate.wants_ping(1, start));
        assert_eq!(estimate.answered(120_001, start + 100 * MS), Some(240_000));
        assert!(estimate.wants_ping(120_002, start + 100 * MS));
        let grown = estimate.answered(280_010, start + 300 * MS);
        assert_eq!(grown, Some(320_016));
    }

    // CONTRACT C6
    #[tokio::test(start_paused = true)]
    async fn after_growth_the_pauses_are_short_again() {
        let start = Instant::now();
        let mut estimate = Estimate::new(60_000);
        assert!(estimate.wants_ping(1, start));
        assert_eq!(estimate.answered(2, start + MS), None);
        assert!(!estimate.wants_ping(3, start + 100 * MS));
        assert!(estimate.wants_ping(3, start + 101 * MS));
        assert!(estimate.answered(70_000, start + 102 * MS).is_some());
        assert!(estimate.wants_ping(70_001, start + 102 * MS));
        assert_eq!(estimate.answered(70_002, start + 103 * MS), None);
        assert!(!estimate.wants_ping(80_000, start + 202 * MS));
        assert!(estimate.wants_ping(80_000, start + 203 * MS));
    }

    // CONTRACT C6
    #[tokio::test(start_paused = true)]
    async fn pings_become_rare_while_the_window_stays() {
        let mut now = Instant::now();
        let mut estimate = Estimate::new(60_000);
        let (mut data, mut pings) = (0, 0);
        let end = now + Duration::from_secs(60);
        while now < end {
            data += 100;
            pings += u32::from(estimate.wants_ping(data, now));
            now += MS;
            assert_eq!(estimate.answered(data, now), None);
        }
        assert!((7..=13).contains(&pings), "{pings} in a minute");
    }

    // CONTRACT C6
    #[tokio::test(start_paused = true)]
    async fn pings_are_never_rarer_than_one_in_ten_seconds_while_data_come() {
        let mut now = Instant::now();
        let mut estimate = Estimate::new(60_000);
        let mut last = now;
        for data in 1..600_000 {
            now += MS;
            if estimate.wants_ping(data, now) {
                assert!(now - last <= LONGEST_PAUSE + MS, "{:?}", now - last);
                last = now;
                assert_eq!(estimate.answered(data, now), None);
            }
        }
        assert!(now - last <= LONGEST_PAUSE, "{:?}", now - last);
    }

    // CONTRACT C6: servers forget the PINGs they counted when they send DATA, and not before
    #[tokio::test(start_paused = true)]
    async fn no_ping_follows_on_an_answer_without_data_between_them() {
        let start = Instant::now();
        let mut estimate = Estimate::new(60_000);
        assert!(estimate.wants_ping(1, start));
        assert_eq!(estimate.answered(500, start + MS), None);
        let later = start + 1_000 * MS;
        assert!(!estimate.wants_ping(500, later));
        assert!(estimate.wants_ping(501, later));
    }

    // CONTRACT C14
    #[tokio::test(start_paused = true)]
    async fn a_slow_sample_is_no_measure_for_the_next_one() {
        let start = Instant::now();
        let mut estimate = Estimate::new(60_000);
        // 30 kB in 100 ms, then 1 kB, and then a window that is two thirds full, in 200 ms.
        let mut at = start;
        for (bytes, round_trip) in [(30_000, 100), (1_000, 100), (40_000, 1_000)] {
            at += LONGEST_PAUSE;
            let before = estimate.seen + 1;
            assert!(estimate.wants_ping(before, at));
            at += round_trip * MS;
            assert_eq!(estimate.answered(before + bytes, at), None, "{bytes}");
        }
    }

    // CONTRACT C14
    #[tokio::test(start_paused = true)]
    async fn a_window_grows_once_two_thirds_of_it_were_full() {
        let start = Instant::now();
        let mut estimate = Estimate::new(60_000);
        assert!(estimate.wants_ping(1, start));
        assert_eq!(estimate.answered(40_001, start + MS), Some(80_000));
    }

    // CONTRACT C18
    #[tokio::test(start_paused = true)]
    async fn no_peer_makes_the_window_larger_than_the_limit() {
        let start = Instant::now();
        let mut estimate = Estimate::new(2 << 20);
        assert!(estimate.wants_ping(1, start));
        assert_eq!(estimate.answered(1 << 40, start + MS), Some(LARGEST));
        assert!(!estimate.wants_ping(1 << 41, start + MS), "it can't grow");
    }
}
