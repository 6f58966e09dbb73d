//! What became of the calls, as the client saw it; times are those since the load began.

use std::ops::Range;
use std::time::Duration;

use grpc_resilience_examples::show::series::Series;

/// A call that ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) due: Duration,
    pub(crate) started: Duration,
    pub(crate) ended: Duration,
    pub(crate) succeeded: bool,
}

/// All calls of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) started: Series,
    /// By when they ended.
    pub(crate) successes: Series,
    /// By when they started.
    failed: Series,
    last_start: Duration,
    latest_start: Duration,
}

impl Record {
    pub(crate) fn add(&mut self, call: Call) {
        self.started.add(call.started);
        if call.succeeded {
            self.successes.add(call.ended);
        } else {
            self.failed.add(call.started);
        }
        self.last_start = self.last_start.max(call.started);
        let late = call.started.saturating_sub(call.due);
        self.latest_start = self.latest_start.max(late);
    }

    pub(crate) fn calls(&self) -> u32 {
        self.started.total()
    }

    pub(crate) fn succeeded(&self) -> u32 {
        self.successes.total()
    }

    pub(crate) fn failed(&self) -> u32 {
        self.failed.total()
    }

    /// Of the calls that started in this time, those that failed.
    pub(crate) fn failed_of(&self, time: Range<Duration>) -> u32 {
        self.failed.within(time)
    }

    /// Calls a second that were really offered.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.calls()) / self.last_start.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// By how much the most belated call started after its time.
    pub(crate) fn latest_start(&self) -> Duration {
        self.latest_start
    }
}
