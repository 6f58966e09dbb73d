use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::kernel::sync::Mutex;

use super::caller::Caller;
use super::meter::{Meter, Refusal};
use super::pace::{Nanos, Pace, START, nanos};
use super::snapshot::Counters;

/// One quota, and a bucket for each key.
///
/// A key is stored as a hash with a random seed: a caller may send keys of any length, and cannot
/// choose keys that collide with those of others.
#[derive(Debug)]
pub(super) struct Meters {
    made: BucketSpec,
    since: Instant,
    hasher: RandomState,
    /// The bucket of requests without a key.
    common: Meter,
    /// The bucket of keys beyond the limit.
    rest: Meter,
    keyed: Mutex<Keyed>,
}

/// The parameters of a bucket.
#[derive(Debug)]
pub(super) struct BucketSpec {
    pub(super) pace: Pace,
    pub(super) counters: Arc<Counters>,
    pub(super) max_keys: usize,
}

#[derive(Debug, Default)]
struct Keyed {
    meters: HashMap<u64, Arc<Meter>>,
    /// The number of new keys until the next search for idle ones.
    until_sweep: usize,
}

impl Meters {
    pub(super) fn new(made: BucketSpec, now: Instant) -> Self {
        Self {
            made,
            since: now,
            hasher: RandomState::new(),
            common: Meter::new(START),
            rest: Meter::new(START),
            keyed: Mutex::default(),
        }
    }

    /// How long the caller waits for its cell, or its refusal.
    pub(super) fn check(
        &self,
        key: Option<&[u8]>,
        caller: Caller,
        now: Instant,
    ) -> Result<Duration, Refusal> {
        let BucketSpec { pace, counters, .. } = &self.made;
        let now = self.nanos(now);
        let Some(key) = key else {
            return self.common.check(pace, counters, caller, now);
        };
        match self.of(self.hasher.hash_one(key), now) {
            Some(meter) => meter.check(pace, counters, caller, now),
            None => self.rest.check(pace, counters, caller, now),
        }
    }

    /// Lets promises lapse in buckets without recent requests.
    pub(super) fn lapse(&self, now: Instant) {
        let BucketSpec { pace, counters, .. } = &self.made;
        let now = self.nanos(now);
        self.common.is_idle(pace, counters, now);
        self.rest.is_idle(pace, counters, now);
        for meter in self.keyed.lock().meters.values() {
            meter.is_idle(pace, counters, now);
        }
    }

    fn of(&self, key: u64, now: Nanos) -> Option<Arc<Meter>> {
        let mut keyed = self.keyed.lock();
        if let Some(meter) = keyed.meters.get(&key) {
            return Some(Arc::clone(meter));
        }
        keyed.sweep(&self.made, now);
        if keyed.meters.len() >= self.made.max_keys {
            return None;
        }
        let meter = Arc::new(Meter::new(now));
        keyed.meters.insert(key, Arc::clone(&meter));
        Some(meter)
    }

    fn nanos(&self, now: Instant) -> Nanos {
        START.saturating_add(nanos(now.saturating_duration_since(self.since)))
    }
}

impl Keyed {
    /// Drops buckets that are equal to new ones. It runs after each quarter of new keys, so that a
    /// new key pays for at most four visits.
    fn sweep(&mut self, made: &BucketSpec, now: Nanos) {
        if self.until_sweep > 0 {
            self.until_sweep -= 1;
            return;
        }
        let BucketSpec { pace, counters, .. } = made;
        // A meter in use elsewhere is about to lose a cell.
        self.meters
            .retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.is_idle(pace, counters, now));
        self.until_sweep = self.meters.len() / 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::rate_limit::Quota;

    const PATIENT: Caller = Caller {
        returning: false,
        patience: Duration::ZERO,
    };

    fn meters(max_keys: usize) -> Meters {
        let made = BucketSpec {
            pace: Pace::new(
                Quota::every(Duration::from_secs(1)).unwrap(),
                Duration::from_millis(250),
            ),
            counters: Arc::default(),
            max_keys,
        };
        Meters::new(made, Instant::now())
    }

    fn held(meters: &Meters) -> usize {
        meters.keyed.lock().meters.len()
    }

    fn ask(meters: &Meters, key: usize) -> bool {
        let key = key.to_be_bytes();
        meters.check(Some(&key), PATIENT, Instant::now()).is_ok()
    }

    // CONTRACT Q5
    #[test]
    fn the_default_cap_holds_no_more_memory_than_is_said() {
        let entry = size_of::<Meter>() + 2 * size_of::<usize>() + size_of::<(u64, Arc<Meter>)>();
        // Half of a hash map may be empty; the list of promises ahead has room for eight entries
        // (`laws`) of two words each.
        let most = 100_000 * (entry + 32 + 8 * 16);
        assert!(most <= 30_000_000, "{most}");
    }

    #[tokio::test(start_paused = true)]
    async fn keys_whose_buckets_are_full_again_are_forgotten() {
        let meters = meters(100_000);
        for key in 0..1_000 {
            assert!(ask(&meters, key));
        }
        assert_eq!(held(&meters), 1_000);
        tokio::time::advance(Duration::from_secs(1)).await;
        // At most a quarter more until idle keys are dropped.
        for key in 1_000..1_300 {
            assert!(ask(&meters, key));
        }
        assert!(held(&meters) <= 300, "{}", held(&meters));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_keys_holds_no_more_than_the_cap_and_shares_one_bucket_beyond_it() {
        let meters = meters(10);
        for key in 0..10 {
            assert!(ask(&meters, key));
        }
        assert!(ask(&meters, 10), "the first of the rest");
        for key in 11..10_000 {
            assert!(!ask(&meters, key));
        }
        assert_eq!(held(&meters), 10);
        assert!(!ask(&meters, 3), "one that is held keeps its own");
    }
}
