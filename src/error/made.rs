//! The failures that layers make themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::body::{Reader, RequestGuard};
use crate::call::Deadline;
use crate::classify::display_chain_until;
use crate::classify::{self, Doubt, Endpoint, Progress, Reason, Verdict, display_chain};
use crate::grpc::MethodKind;
use crate::grpc::Vouched;
use crate::grpc::{Code, Status};
use crate::kernel::timer::NoRuntime;
use crate::report::{CallReport, Phase, SharedError};

use super::shown::foreign_status;
use super::{BoxError, Error, GiveUp};

impl Error {
    /// The deadline passed in this phase, after this failure (CONTRACT R17), when the call had got so
    /// far.
    pub(crate) fn expired(
        deadline: Deadline,
        phase: Phase,
        progress: Progress,
        last: Option<SharedError>,
    ) -> Self {
        let timeout = deadline.timeout();
        let mut message = format!("the deadline of {timeout:?} passed while {phase}");
        if let Some(last) = &last {
            message = format!("{message}; last failure: {}", words(&**last));
        }
        let (code, reason) = (Code::DeadlineExceeded, Reason::DeadlineExceeded);
        let verdict = Verdict::new(progress, code, reason);
        Self::build(verdict, Status::new(code, message), last).given_up(GiveUp::Deadline, 0)
    }

    /// The call that this one was made for is over, in this phase.
    pub(crate) fn parent_ended(
        phase: Phase,
        progress: Progress,
        last: Option<SharedError>,
    ) -> Self {
        let verdict = Verdict::new(progress, Code::Cancelled, Reason::Dropped);
        let message = format!("the parent call ended while {phase}");
        Self::build(verdict, Status::new(Code::Cancelled, message), last)
            .given_up(GiveUp::Cancelled, 0)
    }

    /// The attempt's own timeout passed in this phase, when the attempt had got so far; with what said
    /// so in other words.
    pub(crate) fn attempt_timed_out(
        timeout: Duration,
        phase: Phase,
        progress: Progress,
        cause: Option<SharedError>,
    ) -> Self {
        let message = format!("the attempt's timeout of {timeout:?} passed while {phase}");
        let (code, reason) = (Code::DeadlineExceeded, Reason::AttemptTimedOut);
        let verdict = Verdict::new(progress, code, reason);
        Self::build(verdict, Status::new(code, message), cause)
    }

    /// The same of an answer that this side would have let go on: the server ended it.
    pub(crate) fn attempt_ended_by_peer(
        timeout: Duration,
        phase: Phase,
        progress: Progress,
        cause: SharedError,
    ) -> Self {
        let message = format!(
            "the attempt's timeout of {timeout:?} passed while {phase}: the server, which is told of \
             it, ended the answer; declare the kind of a method that answers in a stream, or say \
             call_options().no_attempt_timeout()"
        );
        let (code, reason) = (Code::DeadlineExceeded, Reason::AttemptTimedOut);
        let verdict = Verdict::new(progress, code, reason);
        Self::build(verdict, Status::new(code, message), Some(cause))
    }

    /// An inner service whose `poll_ready` failed: the request was not handed on, and tower's
    /// contract says that the service can take no other.
    pub(crate) fn not_ready(error: impl Into<BoxError>) -> Self {
        let error = match error.into().downcast::<Self>() {
            Ok(ours) => return *ours,
            Err(error) => error,
        };
        let mut verdict = classify::failure(&*error);
        if !verdict.is_failed_connect() {
            verdict = Verdict::new(Progress::NotSent, Code::Unavailable, Reason::ChannelClosed);
        }
        let message = format!("the service is not ready: {}", display_chain(&*error));
        Self::build(
            verdict,
            Status::new(verdict.code, message),
            Some(Arc::from(error)),
        )
    }

    /// What runs before an attempt failed: with the code of a status, or UNAVAILABLE as the core
    /// implementations have it for credentials that can't be had.
    pub(crate) fn hook_failed(error: BoxError) -> Self {
        let status = foreign_status(&*error)
            .filter(|status| status.code() != Code::Ok)
            .unwrap_or_else(|| {
                // Without the texts of earlier failures, or the text would grow with each attempt.
                let own = display_chain_until(&*error, <dyn std::error::Error>::is::<Self>);
                let message = format!("the attempt was not prepared: {own}");
                Status::new(Code::Unavailable, message)
            });
        let verdict = Verdict::new(Progress::NotSent, status.code(), Reason::HookFailed);
        Self::build(verdict, status, Some(Arc::from(error)))
    }

    /// No runtime can wake the call, which got so far, at its end or in time for what it waits for
    /// (CONTRACT D13).
    #[cold]
    pub(crate) fn without_runtime(progress: Progress) -> Self {
        let (code, reason) = (Code::FailedPrecondition, Reason::NoRuntime);
        let status = Status::new(code, NoRuntime.to_string());
        let verdict = Verdict::new(progress, code, reason);
        Self::build(verdict, status, None).given_up(GiveUp::NoRuntime, 0)
    }

    /// What the server answered.
    pub(crate) fn answered(verdict: Verdict, status: Status) -> Self {
        Self::build(verdict, status, None)
    }

    /// The same failure, which this endpoint answered.
    pub(crate) fn at(mut self, endpoint: Option<&Endpoint>) -> Self {
        self.0.endpoint = endpoint.cloned();
        self
    }

    /// The same failure, of a request that had no effect: the server's word for it counts (CONTRACT
    /// I7).
    pub(crate) fn vouched_for(mut self) -> Self {
        if matches!(
            self.0.verdict.progress,
            Progress::Answered | Progress::Reached
        ) {
            self.0.verdict.progress = Progress::Unprocessed;
        }
        self
    }

    /// The word of an answer that a layer below names otherwise.
    pub(crate) fn vouched(&self) -> Option<&Vouched> {
        self.0.vouched.as_ref()
    }

    /// What a layer says itself of a call that it does not send.
    pub(crate) fn local(code: Code, reason: Reason, message: impl Into<String>) -> Self {
        let verdict = Verdict::new(Progress::NotSent, code, reason);
        Self::build(verdict, Status::new(code, message), None)
    }

    /// The failure of an attempt in the light of its request: who had begun to read it, and the
    /// kind of the method. What proves nothing of this request says why (CONTRACT I4b, I4c).
    #[cold]
    pub(crate) fn of_request(self, reader: Reader, kind: Option<MethodKind>) -> Self {
        match self.verdict().doubt(reader, kind) {
            Some(doubt) if !self.0.is_proven => self.doubted(doubt),
            _ => self,
        }
    }

    /// The failure of a call that a layer does not repeat, in the light of its request: something
    /// that was read may have been sent (CONTRACT I4c).
    pub(crate) fn of_guarded(self, request: Option<RequestGuard>) -> Self {
        let reader = request.map_or(Reader::None, |request| request.reader());
        let is_proven = self.0.is_proven;
        if self.verdict().progress == Progress::NotSent && reader != Reader::None && !is_proven {
            return self.doubted(Doubt::WasRead);
        }
        self
    }

    #[cold]
    fn doubted(self, doubt: Doubt) -> Self {
        let verdict = Verdict {
            progress: Progress::Reached,
            ..self.verdict()
        };
        self.advised(verdict, doubt.advice())
    }

    /// The same failure of an attempt on a channel that has answered no call yet. A server that
    /// speaks TLS may end the connection without a word, as one that dies does.
    #[cold]
    pub(crate) fn before_any_answer(self) -> Self {
        let verdict = self.verdict();
        let is_lost = matches!(verdict.reason, Reason::ConnectionLost | Reason::Queued);
        if !is_lost || self.connect_fault().is_some() {
            return self;
        }
        let advice = "the server ended the connection before it answered any call of this channel: if it \
                      speaks TLS, use `https://`";
        self.advised(verdict, advice)
    }

    fn advised(self, verdict: Verdict, advice: &str) -> Self {
        let message = format!("{}; {advice}", self.status().message());
        let status = Status::new(self.code(), message).with_metadata(self.metadata().clone());
        let cause = self.0.cause.clone();
        self.remade(verdict, status, cause)
    }

    /// The failure without its cause, as later attempts keep it: a cause may hold all before it.
    pub(crate) fn without_cause(self) -> Self {
        let (verdict, status) = (self.verdict(), self.status().clone());
        self.unreported().remade(verdict, status, None)
    }

    /// A failure of the response body: whatever it is, the application had begun to answer.
    pub(crate) fn after_headers(mut self) -> Self {
        if self.0.verdict.progress.is_unprocessed() {
            self.0.verdict.progress = Progress::Reached;
        }
        self
    }

    /// The same failure with an error that led to it.
    pub(crate) fn caused_by(self, cause: Option<SharedError>) -> Self {
        let (verdict, status) = (self.verdict(), self.status().clone());
        let cause = cause.or_else(|| self.0.cause.clone());
        self.remade(verdict, status, cause)
    }

    /// The same failure for others than the call that it is of.
    pub(crate) fn unreported(mut self) -> Self {
        self.0.report = None;
        self
    }

    /// The same failure, of a request that goes once more at once: it was never sent, and the layer that
    /// would wait with it leaves it to the one above that keeps it.
    pub(crate) fn handed_back(mut self) -> Self {
        self.0.handed_back = true;
        self
    }

    /// Whether its request goes once more at once, within the same attempt.
    pub(crate) fn is_handed_back(&self) -> bool {
        self.0.handed_back
    }

    /// The same failure, which an event tells; `None` if one did already.
    pub(crate) fn take_untold(&mut self) -> Option<&Self> {
        let is_logged = std::mem::replace(&mut self.0.is_logged, true);
        (!is_logged).then_some(self)
    }

    /// The same failure with what happened to the call.
    pub(crate) fn reported(mut self, report: CallReport) -> Self {
        self.0.report = Some(report);
        self
    }

    /// The same failure, given up for this reason after so many attempts.
    pub(crate) fn given_up(mut self, give_up: GiveUp, attempts: u32) -> Self {
        self.0.give_up = Some(give_up);
        self.0.attempts = attempts;
        self
    }
}

/// An error in words: that of a layer by its code and message, any other by itself.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<Error>() {
        Some(ours) => ours.words(),
        None => error.to_string(),
    }
}
