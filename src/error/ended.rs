//! Failures near the end of a time that the request sent to its peer (CONTRACT D11).

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use tokio::time::Instant;

use crate::call::Deadline;
use crate::classify::{Hint, Progress};
#[cfg(feature = "channel")]
use crate::classify::{Reason, TransportError, display_chain};
use crate::grpc::Vouched;
use crate::report::{Phase, SharedError, Trace};

#[cfg(feature = "channel")]
use super::BoxError;
use super::Error;

impl Error {
    /// Whether this failure, seen at `now`, is the call's deadline reported in another form. The
    /// trace holds the timeout that the request last carried.
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

    /// Whether this failure is that end, for a request that carried the timeout `sent`.
    pub(crate) fn is_end(&self, end: Deadline, sent: Duration, now: Instant) -> bool {
        end.is_named_by(&self.verdict(), self.status().message(), sent, now)
    }

    /// Turns this failure into the expiry. The peer's answer becomes its cause, with the earlier
    /// failure as the cause behind it (CONTRACT R17); the peer's hint still applies.
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
            #[cfg(feature = "channel")]
            None if self.is_proven() && self.verdict().reason == Reason::TransportTimedOut => {
                self.into_expiry_of_channel(deadline, phase)
            }
            None => Self::expired(deadline, phase, progress, Some(Arc::new(self))),
            Some(last) if has_said => {
                let answer = Arc::new(self.caused_by(Some(Arc::clone(&last))));
                let expired = Self::expired(deadline, phase, progress, Some(last));
                expired.caused_by(Some(answer))
            }
            // A transport's error adds nothing to the expiry.
            Some(last) => Self::expired(deadline, phase, progress, Some(last)),
        }
        .hinted(hint)
    }

    /// The phase of the call that this failure ended: what this crate's channel did not send yet
    /// waited for it.
    pub(crate) fn phase_of_channel(&self, phase: Phase) -> Phase {
        match (self.is_proven(), self.verdict().progress, phase) {
            (true, Progress::NotSent, Phase::Attempt) => Phase::NotReady,
            _ => phase,
        }
    }

    /// This crate's channel has looked at the same clock. It knows how far the request got and why
    /// no connection was ready; for the rest its words say the same.
    #[cfg(feature = "channel")]
    fn into_expiry_of_channel(self, deadline: Deadline, phase: Phase) -> Self {
        let (progress, phase) = (self.verdict().progress, self.phase_of_channel(phase));
        let cause = self.cause().and_then(|it| TransportError::of_call(it));
        let dial = cause.and_then(TransportError::cause).map(display_chain);
        let dial = dial.map(|words| match self.connect_fault() {
            Some(fault) => Arc::from(BoxError::from(format!("{words}; {fault}"))),
            None => Arc::from(BoxError::from(words)),
        });
        let endpoint = self.0.endpoint.clone();
        let mut expired = Self::expired(deadline, phase, progress, dial);
        expired.0.endpoint = endpoint;
        expired.caused_by(Some(Arc::new(self)))
    }

    /// Whether the channel that returned it has logged that the call waits for it (CONTRACT V1).
    pub(crate) fn has_told_wait(&self) -> bool {
        #[cfg(feature = "channel")]
        if let Some(cause) = self.cause().and_then(|it| TransportError::of_call(it)) {
            return cause.has_told_wait();
        }
        false
    }

    /// Keeps the guarantee of the answer that the request had no effect.
    pub(crate) fn vouched_in<B>(mut self, answer: &Response<B>) -> Self {
        self.0.vouched = answer.extensions().get::<Vouched>().cloned();
        self
    }

    /// Sets the peer's hint.
    pub(crate) fn hinted(mut self, hint: Option<Hint>) -> Self {
        self.0.verdict.hint = hint;
        self
    }
}
