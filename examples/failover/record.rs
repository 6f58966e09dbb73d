//! What workers write down about their calls.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;
use tonic::Status;

use crate::methods::Method;
use crate::store::Stamp;
use grpc_resilience_examples::Failure;

/// Calls of one class of methods, and the codes of those that failed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) failed: BTreeMap<String, u64>,
    pub(crate) longest: Duration,
    /// What failed calls were told, and how often.
    pub(crate) words: BTreeMap<String, u64>,
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    /// The node that had the call, if the channel says so.
    pub(crate) node: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) declared: Tally,
    pub(crate) undeclared: Tally,
    /// Of all calls, failed ones too, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// When calls of declared methods succeeded.
    pub(crate) successes: Vec<Instant>,
    pub(crate) acknowledged: Vec<Stamp>,
    pub(crate) puts: Vec<Stamp>,
    pub(crate) appends: Vec<Stamp>,
    pub(crate) failed_appends: Vec<Failed>,
    /// Declared calls that took long, from when to when.
    pub(crate) slow: Vec<(Instant, Instant)>,
}

/// Calls that took longer are kept as slow ones.
const SLOW: Duration = Duration::from_millis(50);

impl Record {
    pub(crate) fn new() -> Self {
        Self {
            declared: Tally::default(),
            undeclared: Tally::default(),
            latency: microseconds(),
            successes: Vec::new(),
            acknowledged: Vec::new(),
            puts: Vec::new(),
            appends: Vec::new(),
            failed_appends: Vec::new(),
            slow: Vec::new(),
        }
    }

    pub(crate) fn add(
        &mut self,
        method: Method,
        stamp: Stamp,
        started: Instant,
        outcome: Result<(), Status>,
    ) -> Result<(), Failure> {
        let ended = Instant::now();
        self.latency
            .record(u64::try_from((ended - started).as_micros())?)?;
        match method {
            Method::Put => self.puts.push(stamp),
            Method::Append => self.appends.push(stamp),
            Method::Get => {}
        }
        if let (Method::Append, Err(status)) = (method, &outcome) {
            let endpoint = grpc_resilience::Error::find(status).and_then(|it| it.endpoint());
            self.failed_appends.push(Failed {
                started,
                ended,
                node: endpoint.map(|it| it.name().to_owned()),
            });
        }
        if method.is_declared() && ended - started > SLOW {
            self.slow.push((started, ended));
        }
        if outcome.is_ok() && method.is_declared() {
            self.successes.push(ended);
        }
        if outcome.is_ok() && method != Method::Get {
            self.acknowledged.push(stamp);
        }
        let tally = if method.is_declared() {
            &mut self.declared
        } else {
            &mut self.undeclared
        };
        tally.add(outcome, ended - started);
        Ok(())
    }

    pub(crate) fn merge(&mut self, other: Self) -> Result<(), Failure> {
        self.declared.merge(other.declared);
        self.undeclared.merge(other.undeclared);
        self.latency.add(other.latency)?;
        self.successes.extend(other.successes);
        self.acknowledged.extend(other.acknowledged);
        self.puts.extend(other.puts);
        self.appends.extend(other.appends);
        self.failed_appends.extend(other.failed_appends);
        self.slow.extend(other.slow);
        Ok(())
    }
}

impl Tally {
    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    fn add(&mut self, outcome: Result<(), Status>, took: Duration) {
        self.calls += 1;
        self.longest = self.longest.max(took);
        if let Err(status) = outcome {
            *self
                .failed
                .entry(format!("{:?}", status.code()))
                .or_default() += 1;
            let words: String = status.message().chars().take(MOST_WORDS).collect();
            *self.words.entry(words).or_default() += 1;
        }
    }

    fn merge(&mut self, other: Self) {
        self.calls += other.calls;
        self.longest = self.longest.max(other.longest);
        for (code, times) in other.failed {
            *self.failed.entry(code).or_default() += times;
        }
        for (words, times) in other.words {
            *self.words.entry(words).or_default() += times;
        }
    }
}

/// Of a failed call's message, in characters.
const MOST_WORDS: usize = 200;

/// Three significant digits, as long as it takes.
fn microseconds() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "3 is between 0 and 5")]
    Histogram::new(3).expect("a histogram of 3 significant digits")
}
