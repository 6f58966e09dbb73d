use bytes::Bytes;
use http::Response;
use http::response::Parts;
use http_body::Frame;

use crate::classify;
use crate::dispatch::tidy_head;
use crate::error::{BoxError, Error};
use crate::grpc::{Code, STATUS, Status};

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
    tidy_head(&mut response);
    if answers_once && !response.headers().contains_key(STATUS) {
        Head::Open(response)
    } else {
        Head::Answer(response)
    }
}

/// The failure in the first frame of a held response: trailers that come without a message.
///
/// The metadata of such a status is the trailers' and the head's, as tonic's client merges them.
pub(super) fn first_frame<E: Into<BoxError>>(
    head: &Parts,
    frame: Option<Result<Frame<Bytes>, E>>,
) -> Result<Option<Frame<Bytes>>, Error> {
    let Some(frame) = frame else { return Ok(None) };
    let frame = crate::dispatch::tidy(frame)?;
    let failed = frame
        .trailers_ref()
        .and_then(Status::from_headers)
        .filter(|status| status.code() != Code::Ok);
    match failed {
        None => Ok(Some(frame)),
        Some(mut status) => {
            let verdict = classify::answer(&status);
            status.metadata_mut().extend(head.headers.clone());
            Err(Error::answered(verdict, status))
        }
    }
}
