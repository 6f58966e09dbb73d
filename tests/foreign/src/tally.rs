//! How the calls of a load went.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use grpc_resilience::classify::Progress;
use grpc_resilience::{CallReport, GiveUp};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::load::CallId;

/// One call that ended.
#[derive(Clone, Debug)]
pub struct Record {
    /// The id that its requests carried.
    pub id: CallId,
    /// When the caller made it.
    pub start: Instant,
    /// Until the caller had its result.
    pub took: Duration,
    /// Why it failed, if it did.
    pub failure: Option<Failed>,
}

impl Record {
    /// Records a call that ends now.
    #[must_use]
    pub fn new(id: CallId, start: Instant, ended: &Result<(), Status>) -> Self {
        Self {
            id,
            start,
            took: start.elapsed(),
            failure: ended.as_ref().err().map(Failed::new),
        }
    }

    /// Whether the caller was waiting for its result at some moment between these two.
    #[must_use]
    pub fn in_flight(&self, from: Instant, to: Instant) -> bool {
        self.start <= to && self.start + self.took >= from
    }

    /// Whether this and another call were in flight at the same time.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.in_flight(other.start, other.start + other.took)
    }
}

/// How a call failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failed {
    /// The name of the code that the caller saw.
    pub code: String,
    /// The message that the caller saw.
    pub message: String,
    /// Why this crate made no further attempt.
    pub give_up: Option<String>,
    /// How many attempts this crate counted.
    pub attempts: Option<u32>,
    /// The name of the event that ended this crate's last attempt.
    pub reason: Option<String>,
    /// Whether this crate's last attempt may have run.
    pub reached: bool,
}

impl Failed {
    /// Describes the status of a failed call.
    #[must_use]
    pub fn new(status: &Status) -> Self {
        let report = CallReport::find(status);
        let failed = report.as_ref().map(CallReport::failed_attempts);
        let last = failed.as_ref().and_then(|it| Some(it.last()?.verdict));
        Self {
            code: format!("{:?}", status.code()),
            message: status.message().to_owned(),
            give_up: GiveUp::find(status).map(|it| it.name().to_owned()),
            attempts: report.map(|it| it.attempts()),
            reason: last.map(|it| it.reason.name().to_owned()),
            reached: last.is_some_and(|it| it.progress == Progress::Reached),
        }
    }

    /// Whether the caller saw this code.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.code == format!("{code:?}")
    }

    /// Whether this crate gave up for this reason.
    #[must_use]
    pub fn gave_up(&self, reason: GiveUp) -> bool {
        self.give_up.as_deref() == Some(reason.name())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if let Some(give_up) = &self.give_up {
            write!(f, " [{give_up}]")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, " [{reason}]")?;
        }
        Ok(())
    }
}

/// All calls of a load.
#[derive(Clone, Debug)]
pub struct Tally {
    records: Vec<Record>,
    elapsed: Duration,
}

impl Tally {
    /// The calls `records`, made within `elapsed`.
    #[must_use]
    pub fn new(records: Vec<Record>, elapsed: Duration) -> Self {
        Self { records, elapsed }
    }

    /// The calls of this tally and of another, made at the same time.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.records.extend(other.records);
        self.elapsed = self.elapsed.max(other.elapsed);
        self
    }

    /// The calls of loads that ran one after the other.
    #[must_use]
    pub fn merged(tallies: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::new(Vec::new(), Duration::ZERO);
        for tally in tallies {
            all.records.extend(tally.records);
            all.elapsed += tally.elapsed;
        }
        all
    }

    /// Every call.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.records.len()
    }

    /// The calls that failed.
    pub fn failed(&self) -> impl Iterator<Item = (&Record, &Failed)> {
        self.records
            .iter()
            .filter_map(|record| Some((record, record.failure.as_ref()?)))
    }

    /// The calls that took longer than `limit`.
    pub fn held_up(&self, limit: Duration) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |it| it.took > limit)
    }

    /// How many calls took longer than `limit`.
    #[must_use]
    pub fn over(&self, limit: Duration) -> usize {
        self.held_up(limit).count()
    }

    /// What all calls took beyond `limit`, added up.
    #[must_use]
    pub fn beyond(&self, limit: Duration) -> Duration {
        let beyond = self.records.iter().map(|it| it.took.saturating_sub(limit));
        beyond.sum()
    }

    /// For how long the calls were made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Calls a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a count of calls made here")]
    pub fn per_second(&self) -> f64 {
        self.calls() as f64 / self.elapsed.as_secs_f64()
    }

    /// Calls a second that succeeded.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a count of calls made here")]
    pub fn successes_per_second(&self) -> f64 {
        (self.calls() - self.failed().count()) as f64 / self.elapsed.as_secs_f64()
    }

    /// How long the calls took, sorted.
    #[must_use]
    pub fn durations(&self) -> Vec<Duration> {
        let mut durations: Vec<_> = self.records.iter().map(|it| it.took).collect();
        durations.sort_unstable();
        durations
    }

    /// How often each kind of failure happened, most frequent first.
    #[must_use]
    pub fn failures(&self) -> Vec<(usize, String)> {
        let mut counts = BTreeMap::<String, usize>::new();
        for (_, failure) in self.failed() {
            *counts.entry(failure.to_string()).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().map(|(it, count)| (count, it)).collect();
        counts.sort_by(|a, b| b.cmp(a));
        counts
    }
}
