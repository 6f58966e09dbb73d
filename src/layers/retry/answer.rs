use http::Response;
use http::response::Parts;

use crate::classify;
use crate::dispatch::{Read, failure_of, received};
use crate::error::Error;
use crate::grpc::Code;

/// What a response head says of an attempt that has not failed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// The call is committed: this is the answer.
    Answer,
    /// The same, and it says OK already: it is all of it.
    Ok,
    /// The status is still to come, and one message at most before it.
    Open,
}

impl Judged {
    /// The code in the head.
    pub(super) fn code(self) -> Option<Code> {
        (self == Self::Ok).then_some(Code::Ok)
    }
}

/// Judges a head (CONTRACT R6): Trailers-Only decides, headers alone commit a stream.
#[inline]
pub(super) fn judge<R>(response: &mut Response<R>, answers_once: bool) -> Result<Judged, Error> {
    match received(response)? {
        None if answers_once => Ok(Judged::Open),
        None => Ok(Judged::Answer),
        Some(Code::Ok) => Ok(Judged::Ok),
        Some(_) => failure_of(response).map_or(Ok(Judged::Answer), Err),
    }
}

/// The failure in what was read first of a held body: trailers that come without a message, or an
/// attempt that its own timeout ended before one. All else commits the call (CONTRACT R6).
///
/// The metadata of such a status is the trailers' and the head's, as tonic's client merges them.
pub(crate) fn failure_in(head: &Parts, read: &Read) -> Option<Error> {
    let trailers = match read.as_ref()? {
        Ok(frame) => frame.trailers_ref()?,
        Err(error) => {
            let has_timed_out = error.verdict().reason.is_time_out();
            return has_timed_out.then(|| error.clone());
        }
    };
    let (verdict, status) = classify::trailers(trailers)?;
    let mut metadata = status.metadata().clone();
    metadata.extend(head.headers.clone());
    let error = Error::answered(verdict, status.with_metadata(metadata));
    Some(error.at(head.extensions.get()))
}
