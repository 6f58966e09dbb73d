use tokio::time::Instant;

use crate::report::{Phase, Trace, Waited};

/// The wait of a call while no connection is ready, for its report.
///
/// A wait for a stream of a ready connection is part of the attempt, as over other channels.
#[derive(Debug, Default)]
pub(super) struct Unready {
    /// When the wait began that goes on.
    since: Option<Instant>,
    waited: Waited,
}

impl Unready {
    /// The call waits.
    #[cold]
    pub(super) fn begin(this: &mut Option<Box<Self>>, trace: Option<&Trace>, now: Instant) {
        let is_first = this.is_none();
        let wait = this.get_or_insert_default();
        if wait.since.is_none() {
            wait.since = Some(now);
            match trace {
                Some(trace) if is_first => trace.waits(Phase::NotReady),
                Some(trace) => trace.enter(Phase::NotReady),
                None => {}
            }
        }
    }

    /// It has a connection; a layer that keeps no trace of the call yet is told in the response.
    #[cold]
    pub(super) fn end(&mut self, trace: Option<&Trace>, now: Instant) {
        let Some(since) = self.since.take() else {
            return;
        };
        self.waited.add(now.saturating_duration_since(since));
        if let Some(trace) = trace {
            trace.enter(Phase::Attempt);
        }
    }

    /// All of it.
    pub(super) fn waited(&self) -> Waited {
        self.waited
    }
}
