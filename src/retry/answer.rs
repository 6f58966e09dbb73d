use http::Response;
use http::response::Parts;

use crate::classify::{self, Reason};
use crate::dispatch::{Answer, Read, received};
use crate::error::Error;
use crate::grpc::Code;

/// What a response head says of an attempt.
pub(super) enum Said<R> {
    /// The call is committed: this is the answer.
    Answer(Answer<R>),
    /// The status is still to come, and one message at most before it.
    Open(Response<R>),
    /// The attempt failed.
    Failure(Error),
}

/// Judges a head (CONTRACT R6): Trailers-Only decides, headers alone commit a stream.
#[inline]
pub(super) fn judge<R>(response: Response<R>, answers_once: bool) -> Said<R> {
    let Answer { response, code } = match received(response) {
        Ok(answer) => answer,
        Err(error) => return Said::Failure(error),
    };
    match code {
        None if answers_once => Said::Open(response),
        None | Some(Code::Ok) => Said::Answer(Answer { response, code }),
        Some(_) => match classify::head(response.status(), response.headers()) {
            Some((verdict, status)) => Said::Failure(Error::answered(verdict, status)),
            None => Said::Answer(Answer { response, code }),
        },
    }
}

/// What the first read of a held body gave: a frame, the body's failure, or its end.
pub(super) type FirstRead = Read;

/// The failure in the first frame of a held response: trailers that come without a message, or an
/// attempt that its own timeout ended before one. All else commits the call (CONTRACT R6).
///
/// The metadata of such a status is the trailers' and the head's, as tonic's client merges them.
pub(super) fn failure_in(head: &Parts, read: &FirstRead) -> Option<Error> {
    let trailers = match read.as_ref()? {
        Ok(frame) => frame.trailers_ref()?,
        Err(error) => {
            let has_timed_out = error.verdict().reason == Reason::AttemptTimedOut;
            return has_timed_out.then(|| error.clone());
        }
    };
    let (verdict, status) = classify::trailers(trailers)?;
    let mut metadata = status.metadata().clone();
    metadata.extend(head.headers.clone());
    Some(Error::answered(verdict, status.with_metadata(metadata)))
}
