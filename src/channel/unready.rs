use http::Response;
use tokio::time::Instant;

use crate::classify::TransportError;
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
    pub(super) fn begin<'a>(
        this: &'a mut Option<Box<Self>>,
        trace: Option<&Trace>,
        now: Instant,
    ) -> &'a mut Self {
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
        wait
    }

    /// Whether the log already says that the call waits.
    pub(super) fn is_told(&self) -> bool {
        self.waited.is_told
    }

    /// Whether this wait is to be logged: the first one of its call is, whichever attempt it is of
    /// (CONTRACT V1).
    pub(super) fn tells(&mut self, trace: Option<&Trace>) -> bool {
        self.waited.is_told = true;
        trace.is_none_or(Trace::tells_wait)
    }

    /// It has a connection.
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

    /// Tells a layer that keeps no trace of the call yet, in what the attempt came to.
    #[cold]
    pub(super) fn noted<B>(
        &self,
        outcome: Result<Response<B>, TransportError>,
    ) -> Result<Response<B>, TransportError> {
        match outcome {
            Ok(mut response) => {
                response.extensions_mut().insert(self.waited);
                Ok(response)
            }
            Err(error) if self.waited.is_told => Err(error.after_told_wait()),
            Err(error) => Err(error),
        }
    }
}
