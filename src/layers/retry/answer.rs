use http::Response;
use http::response::Parts;

use crate::classify;
use crate::dispatch::{Read, failure_of, received};
use crate::error::Error;
use crate::grpc::Code;

/// The verdict on a response head, for an attempt that has not failed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// The response commits the call.
    Answer,
    /// A Trailers-Only response with OK: it commits the call and is complete.
    Ok,
    /// The status follows in trailers, after at most one message: hold the head.
    Open,
}

impl Judged {
    /// The code in the head, if it has one.
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

/// The failure in the first read of a held body: trailers without a message, or the end of an
/// attempt by its own timeout before a message. Everything else commits the call (CONTRACT R6).
///
/// The metadata of the status merges trailers and head, as tonic's client does.
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
