use std::time::Duration;

use tonic::Status;

use crate::classify::{Endpoint, Progress, Reason, Verdict};
use crate::error::{Error, GiveUp};
use crate::grpc::{self, Code};

/// A failed opening, or the end of a stream that broke off.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// A retry layer below has charged the budget for it.
    pub(super) is_charged: bool,
}

impl Failure {
    /// The failure that a generated client reported, of a stream to this endpoint.
    pub(super) fn of(status: Status, endpoint: Option<&Endpoint>) -> Self {
        let below = Error::find(&status).cloned();
        let is_charged = below.as_ref().is_some_and(|error| error.attempts() > 0);
        let error = below.unwrap_or_else(|| Error::from_inner(status));
        let error = match error.endpoint() {
            Some(_) => error,
            None => error.at(endpoint),
        };
        Self { error, is_charged }
    }

    /// A timer of the stream ended an opening, or a stream that fell silent.
    pub(super) fn timed_out(message: String, endpoint: Option<&Endpoint>) -> Self {
        let (code, reason) = (Code::DeadlineExceeded, Reason::AttemptTimedOut);
        let verdict = Verdict::new(Progress::Reached, code, reason);
        Self {
            error: Error::answered(verdict, grpc::Status::new(code, message)).at(endpoint),
            is_charged: false,
        }
    }

    /// The deadline of the whole stream passed.
    pub(super) fn expired(timeout: Duration) -> Self {
        let (code, reason) = (Code::DeadlineExceeded, Reason::DeadlineExceeded);
        let message = format!("the stream's deadline of {timeout:?} passed");
        let verdict = Verdict::new(Progress::Reached, code, reason);
        Self {
            error: Error::answered(verdict, grpc::Status::new(code, message)),
            is_charged: true,
        }
    }

    /// The server ended the stream with OK, and none can follow.
    pub(super) fn ended() -> Self {
        let code = Code::Unavailable;
        let message = "the server ended the stream, and no further one can follow";
        let verdict = Verdict::new(Progress::Answered, code, Reason::Answered);
        Self {
            error: Error::answered(verdict, grpc::Status::new(code, message)),
            is_charged: true,
        }
    }

    /// The server told in a message that it no longer has the token.
    pub(super) fn lost() -> Self {
        let code = Code::OutOfRange;
        let message = "the server said in a message that it no longer has the place to resume at";
        let verdict = Verdict::new(Progress::Answered, code, Reason::Answered);
        Self {
            error: Error::answered(verdict, grpc::Status::new(code, message)),
            is_charged: true,
        }
    }

    /// No runtime is left that can wake the stream.
    pub(super) fn without_runtime() -> Self {
        Self {
            error: Error::without_runtime(Progress::Reached),
            is_charged: true,
        }
    }

    /// As the caller sees it: with the server's code, message, details and metadata.
    pub(super) fn into_status(self, give_up: GiveUp, attempts: u32) -> Status {
        Status::from_error(Box::new(self.error.given_up(give_up, attempts)))
    }
}
