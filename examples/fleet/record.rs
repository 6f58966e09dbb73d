//! What became of the calls, as the client saw it; times are those since the load began.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use tonic::Status;

use crate::show::series::{Series, ratio};

/// A call that ended.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Which call it was.
    pub number: u32,
    /// When it started.
    pub started: Duration,
    /// When it ended.
    pub ended: Duration,
    /// Which server answered; `None`: it failed.
    pub server: Option<u32>,
}

impl Call {
    /// How long it took.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.ended.saturating_sub(self.started)
    }
}

/// All calls of a run.
#[derive(Clone, Debug, Default)]
pub struct Record {
    calls: Vec<Call>,
    failures: BTreeMap<String, u32>,
}

impl Record {
    /// One more call, and why it failed.
    pub fn add(&mut self, call: Call, failure: Option<Status>) {
        self.calls.push(call);
        if let Some(failure) = failure {
            let words = format!("{:?}: {}", failure.code(), failure.message());
            *self.failures.entry(words).or_default() += 1;
        }
    }

    /// Each call.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// How many calls there were.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.count(|_| true)
    }

    /// How many failed.
    #[must_use]
    pub fn failed(&self) -> u32 {
        self.count(|call| call.server.is_none())
    }

    /// How many failed and how many there were, as text, with the most frequent failure.
    #[must_use]
    pub fn failures(&self) -> String {
        let (failed, total) = (self.failed(), self.total());
        let most = self.failures.iter().max_by_key(|(_, count)| **count);
        let words = most.map(|(words, _)| format!(" ({words})"));
        format!("{failed} of {total}{}", words.unwrap_or_default())
    }

    /// The share that failed, in percent.
    #[must_use]
    pub fn failed_percent(&self) -> f64 {
        100.0 * ratio(self.failed(), self.total())
    }

    /// How many calls there were of this kind.
    #[must_use]
    pub fn count(&self, is_such: impl Fn(&Call) -> bool) -> u32 {
        let such = self.calls.iter().filter(|call| is_such(call)).count();
        u32::try_from(such).unwrap_or(u32::MAX)
    }

    /// The share of the answers within a time that came from these servers, in percent.
    #[must_use]
    pub fn share(&self, servers: Range<u32>, within: Range<Duration>) -> f64 {
        let is_within = |call: &Call| within.contains(&call.ended);
        let of = |call: &Call| call.server.is_some_and(|it| servers.contains(&it));
        let all = self.count(|call| is_within(call) && call.server.is_some());
        100.0 * ratio(self.count(|call| is_within(call) && of(call)), all)
    }

    /// Successful calls a second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        let last = self.calls.iter().map(|call| call.ended).max();
        let seconds = last.unwrap_or_default().as_secs_f64();
        f64::from(self.total() - self.failed()) / seconds.max(f64::MIN_POSITIVE)
    }

    /// Calls a second that were really offered.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let last = self.calls.iter().map(|call| call.started).max();
        let seconds = last.unwrap_or_default().as_secs_f64();
        f64::from(self.total()) / seconds.max(f64::MIN_POSITIVE)
    }

    /// The latency that this share of the calls that started within a time stayed below.
    #[must_use]
    pub fn quantile(&self, share: f64, within: Range<Duration>) -> Duration {
        let started = self
            .calls
            .iter()
            .filter(|call| within.contains(&call.started));
        let mut latencies: Vec<_> = started.map(Call::latency).collect();
        latencies.sort_unstable();
        let count = f64::from(u32::try_from(latencies.len()).unwrap_or(u32::MAX));
        // The first of which no more than this share is faster.
        let place = (0..latencies.len()).zip(1_u32..);
        let place = place.take_while(|(_, nth)| f64::from(*nth) <= share * count);
        let below = place.count();
        let last = latencies.last().copied().unwrap_or_default();
        latencies.get(below).copied().unwrap_or(last)
    }

    /// How long after a time a call that started after it was first answered by a server.
    #[must_use]
    pub fn first_answer(&self, server: u32, after: Duration) -> Option<Duration> {
        let answers = self
            .calls
            .iter()
            .filter(|call| call.server == Some(server) && call.started >= after);
        answers.map(|call| call.ended.saturating_sub(after)).min()
    }

    /// When calls of this kind ended.
    #[must_use]
    pub fn ends(&self, is_such: impl Fn(&Call) -> bool) -> Series {
        let such = self.calls.iter().filter(|call| is_such(call));
        such.map(|call| call.ended).collect()
    }
}
