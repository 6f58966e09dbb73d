//! The failures that layers make.

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
    /// The deadline passed in this phase, after this earlier failure (CONTRACT R17).
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

    /// The parent call ended in this phase.
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

    /// The attempt's own timeout passed in this phase; `cause` is the error that reported it in
    /// another form.
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

    /// The server ended an answer at the attempt's timeout; this side would have let it continue.
    pub(crate) fn attempt_ended_by_peer(
        timeout: Duration,
        phase: Phase,
        progress: Progress,
        cause: SharedError,
    ) -> Self {
        let message = format!(
            "the attempt's timeout of {timeout:?} passed while {phase}: the server, which gets it as \
             grpc-timeout, ended the answer; declare the kind of a method that answers in a stream, \
             or set call_options().no_attempt_timeout()"
        );
        let (code, reason) = (Code::DeadlineExceeded, Reason::AttemptTimedOut);
        let verdict = Verdict::new(progress, code, reason);
        Self::build(verdict, Status::new(code, message), Some(cause))
    }

    /// The inner service's `poll_ready` failed. The request was not handed on, and by tower's
    /// contract the service takes no other.
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

    /// A hook before an attempt failed. The code is that of its status, or UNAVAILABLE, as the gRPC
    /// core implementations use for credentials that are not available.
    pub(crate) fn hook_failed(error: BoxError) -> Self {
        let status = foreign_status(&*error)
            .filter(|status| status.code() != Code::Ok)
            .unwrap_or_else(|| {
                // Without the texts of earlier failures, which would make the text grow with each
                // attempt.
                let own = display_chain_until(&*error, <dyn std::error::Error>::is::<Self>);
                let message = format!("the hook before the attempt failed: {own}");
                Status::new(Code::Unavailable, message)
            });
        let verdict = Verdict::new(Progress::NotSent, status.code(), Reason::HookFailed);
        Self::build(verdict, status, Some(Arc::from(error)))
    }

    /// No runtime can wake the call at its deadline or when its wait is over (CONTRACT D13).
    #[cold]
    pub(crate) fn without_runtime(progress: Progress) -> Self {
        let (code, reason) = (Code::FailedPrecondition, Reason::NoRuntime);
        let status = Status::new(code, NoRuntime.to_string());
        let verdict = Verdict::new(progress, code, reason);
        Self::build(verdict, status, None).given_up(GiveUp::NoRuntime, 0)
    }

    /// The server's answer as a failure.
    pub(crate) fn answered(verdict: Verdict, status: Status) -> Self {
        Self::build(verdict, status, None)
    }

    /// Sets the endpoint that answered.
    pub(crate) fn at(mut self, endpoint: Option<&Endpoint>) -> Self {
        self.0.endpoint = endpoint.cloned();
        self
    }

    /// Marks the request as one without effect, by the server's guarantee (CONTRACT I7).
    pub(crate) fn vouched_for(mut self) -> Self {
        if matches!(
            self.0.verdict.progress,
            Progress::Answered | Progress::Reached
        ) {
            self.0.verdict.progress = Progress::Unprocessed;
        }
        self
    }

    /// The guarantee of an answer that a layer below turned into another failure.
    pub(crate) fn vouched(&self) -> Option<&Vouched> {
        self.0.vouched.as_ref()
    }

    /// A layer's own failure, for a call that it does not send.
    pub(crate) fn local(code: Code, reason: Reason, message: impl Into<String>) -> Self {
        let verdict = Verdict::new(Progress::NotSent, code, reason);
        Self::build(verdict, Status::new(code, message), None)
    }

    /// Checks the failure of an attempt against its request: its first reader and the kind of the
    /// method. If the evidence is no proof for this request, the message explains why (CONTRACT
    /// I4b, I4c).
    #[cold]
    pub(crate) fn of_request(self, reader: Reader, kind: Option<MethodKind>) -> Self {
        match self.verdict().doubt(reader, kind) {
            Some(doubt) if !self.0.is_proven => self.doubted(doubt),
            _ => self,
        }
    }

    /// Checks the failure of a call that a layer does not repeat against its request: a request
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

    /// Adds a note for a channel that has answered no call yet: a TLS server may close the
    /// connection silently, as one that dies does.
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

    /// Removes the cause, for a failure that later attempts keep: causes would form a chain over
    /// all attempts.
    pub(crate) fn without_cause(self) -> Self {
        let (verdict, status) = (self.verdict(), self.status().clone());
        self.unreported().remade(verdict, status, None)
    }

    /// Marks a failure of the response body: the application had begun to answer.
    pub(crate) fn after_headers(mut self) -> Self {
        if self.0.verdict.progress.is_unprocessed() {
            self.0.verdict.progress = Progress::Reached;
        }
        self
    }

    /// Sets the error that led to this failure.
    pub(crate) fn caused_by(self, cause: Option<SharedError>) -> Self {
        let (verdict, status) = (self.verdict(), self.status().clone());
        let cause = cause.or_else(|| self.0.cause.clone());
        self.remade(verdict, status, cause)
    }

    /// Removes the report, for calls that share the failure but not its history.
    pub(crate) fn unreported(mut self) -> Self {
        self.0.report = None;
        self
    }

    /// Marks a request that was never sent and is sent again at once: the waiting layer leaves it
    /// to the retry layer above, which keeps it.
    pub(crate) fn handed_back(mut self) -> Self {
        self.0.handed_back = true;
        self
    }

    /// Whether the request is sent again at once, within its attempt.
    pub(crate) fn is_handed_back(&self) -> bool {
        self.0.handed_back
    }

    /// The failure, if no event was emitted for it yet; marks it as emitted.
    pub(crate) fn take_untold(&mut self) -> Option<&Self> {
        let is_logged = std::mem::replace(&mut self.0.is_logged, true);
        (!is_logged).then_some(self)
    }

    /// Adds the report of the call.
    pub(crate) fn reported(mut self, report: CallReport) -> Self {
        self.0.report = Some(report);
        self
    }

    /// Adds the reason for giving up and the number of attempts.
    pub(crate) fn given_up(mut self, give_up: GiveUp, attempts: u32) -> Self {
        self.0.give_up = Some(give_up);
        self.0.attempts = attempts;
        self
    }
}

/// The text of an error: code and message for a layer's error, `Display` for any other.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<Error>() {
        Some(ours) => ours.words(),
        None => error.to_string(),
    }
}
