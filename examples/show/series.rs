//! Events counted per 100 ms.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// The width of a bucket.
pub const BUCKET: Duration = Duration::from_millis(100);

/// How many events there were in each 100 ms since the load began.
#[derive(Clone, Debug, Default)]
pub struct Series {
    buckets: BTreeMap<u32, u32>,
    ends: Option<(Duration, Duration)>,
}

impl Series {
    /// Counts an event at a time.
    pub fn add(&mut self, at: Duration) {
        *self.buckets.entry(bucket(at)).or_default() += 1;
        let (first, last) = self.ends.unwrap_or((at, at));
        self.ends = Some((first.min(at), last.max(at)));
    }

    /// When the first event was and when the last, exactly; `None` if there was none.
    #[must_use]
    pub fn ends(&self) -> Option<(Duration, Duration)> {
        self.ends
    }

    /// The most events of a bucket.
    #[must_use]
    pub fn fullest(&self) -> u32 {
        self.buckets.values().copied().max().unwrap_or(0)
    }

    /// The events of a time; its ends lie between buckets.
    #[must_use]
    pub fn within(&self, time: Range<Duration>) -> u32 {
        self.buckets
            .range(bucket(time.start)..bucket(time.end))
            .map(|(_, events)| events)
            .sum()
    }

    /// All events.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.buckets.values().sum()
    }

    /// Each bucket of a time, empty ones too: when it begins, and its events.
    pub fn each(&self, time: Range<Duration>) -> impl Iterator<Item = (Duration, u32)> {
        (bucket(time.start)..bucket(time.end)).map(|bucket| {
            (
                BUCKET * bucket,
                self.buckets.get(&bucket).copied().unwrap_or(0),
            )
        })
    }
}

impl FromIterator<Duration> for Series {
    fn from_iter<T: IntoIterator<Item = Duration>>(events: T) -> Self {
        let mut series = Self::default();
        events.into_iter().for_each(|at| series.add(at));
        series
    }
}

fn bucket(at: Duration) -> u32 {
    u32::try_from(at.as_millis() / BUCKET.as_millis()).unwrap_or(u32::MAX)
}

/// `part` of `whole`; of nothing it is 0.
#[must_use]
pub fn ratio(part: u32, whole: u32) -> f64 {
    f64::from(part) / f64::from(whole.max(1))
}
