use bytes::Bytes;
use http::Response;
use http::response::Parts;
use http_body::Frame;

use crate::classify::{self, Reason};
use crate::error::Error;
use crate::grpc::{STATUS, find, remove_malformed_details};

/// What a response head says of an attempt.
pub(super) enum Head<R> {
    /// The call is committed: this is the answer.
    Answer(Response<R>),
    /// The status is still to come, and one message at most before it.
    Open(Response<R>),
    /// The attempt failed.
    Failure(Error),
}

/// Judges a head (CONTRACT R6): Trailers-Only decides, headers alone commit a stream.
pub(super) fn judge<R>(mut response: Response<R>, answers_once: bool) -> Head<R> {
    if let Some((verdict, status)) = classify::head(response.status(), response.headers()) {
        return Head::Failure(Error::answered(verdict, status));
    }
    remove_malformed_details(response.headers_mut());
    if answers_once && find(response.headers(), &STATUS).is_none() {
        Head::Open(response)
    } else {
        Head::Answer(response)
    }
}

/// What the first read of a held body gave: a frame, the body's failure, or its end.
pub(super) type FirstRead = Option<Result<Frame<Bytes>, Error>>;

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
