//! Failures near the end of a time that the request told its peer of (CONTRACT D11).

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use tokio::time::Instant;

use crate::call::Deadline;
use crate::classify::{Hint, Progress};
use crate::grpc::Vouched;
use crate::report::{Phase, SharedError, Trace};

use super::Error;

impl Error {
    /// Whether this failure, seen at `now`, is the call's deadline by another name. What the
    /// request told of it when it was last handed on is in the trace.
    #[cold]
    pub(crate) fn is_deadline(
        &self,
        deadline: Deadline,
        trace: Option<&Trace>,
        now: Instant,
    ) -> bool {
        let handed_on = trace.and_then(Trace::handed_on);
        let sent = handed_on.map_or(deadline.timeout(), |at| deadline.remaining(at));
        self.is_end(deadline, sent, now)
    }

    /// Whether it is this end by another name, of which the request told `sent`.
    pub(crate) fn is_end(&self, end: Deadline, sent: Duration, now: Instant) -> bool {
        end.is_named_by(&self.verdict(), self.status().message(), sent, now)
    }

    /// The expiry that this failure is by another name. The answer is its source, and behind that
    /// the failure before (CONTRACT R17); what the peer asked for still binds.
    pub(crate) fn into_expiry(
        self,
        deadline: Deadline,
        phase: Phase,
        progress: Progress,
        last: Option<SharedError>,
    ) -> Self {
        let hint = self.verdict().hint;
        let has_said = self.cause().is_none();
        match last {
            None => Self::expired(deadline, phase, progress, Some(Arc::new(self))),
            Some(last) if has_said => {
                let answer = Arc::new(self.caused_by(Some(Arc::clone(&last))));
                let expired = Self::expired(deadline, phase, progress, Some(last));
                expired.caused_by(Some(answer))
            }
            // A transport says no more than that the time is over.
            Some(last) => Self::expired(deadline, phase, progress, Some(last)),
        }
        .hinted(hint)
    }

    /// The same failure with the word that came with the answer that it is by another name.
    pub(crate) fn vouched_in<B>(mut self, answer: &Response<B>) -> Self {
        self.0.vouched = answer.extensions().get::<Vouched>().cloned();
        self
    }

    /// The same failure with what the peer asked for.
    pub(crate) fn hinted(mut self, hint: Option<Hint>) -> Self {
        self.0.verdict.hint = hint;
        self
    }
}
