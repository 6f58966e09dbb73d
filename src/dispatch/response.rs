use std::task::Poll;

use bytes::Bytes;
use http::Response;
use http_body::Frame;

use crate::classify;
use crate::error::{BoxError, Error};
use crate::grpc::{Code, Glance, remove_malformed_details};

/// A response head as every layer that acts hands it up.
pub(crate) struct Answer<B> {
    pub(crate) response: Response<B>,
    /// What it says already, if it is Trailers-Only.
    pub(crate) code: Option<Code>,
}

/// A response head as every layer hands it up that acts on the call: it can't make tonic's client
/// panic, and what is no gRPC answer, such as a proxy's page, is the failure that its HTTP status says
/// (CONTRACT H2).
#[inline]
pub(crate) fn received<B>(mut response: Response<B>) -> Result<Answer<B>, Error> {
    let glance = Glance::at(response.headers());
    if glance.has_details {
        remove_malformed_details(response.headers_mut());
    }
    // Whatever it says, a gRPC answer says it: who acts on it reads it.
    if glance.code.is_none()
        && !glance.is_no_failure(response.status())
        && let Some((verdict, status)) = classify::head(response.status(), response.headers())
    {
        return Err(Error::answered(verdict, status));
    }
    let code = glance.code;
    Ok(Answer { response, code })
}

/// What was read of a response body.
pub(crate) type Read = Option<Result<Frame<Bytes>, Error>>;

/// A frame of a response as every layer hands it up that acts on the call: errors are classified, and
/// trailers can't make tonic's client panic.
#[inline]
pub(crate) fn tidy<E: Into<BoxError>>(
    frame: Result<Frame<Bytes>, E>,
) -> Result<Frame<Bytes>, Error> {
    let mut frame = frame.map_err(|error| Error::from_inner(error).after_headers())?;
    if let Some(trailers) = frame.trailers_mut() {
        remove_malformed_details(trailers);
    }
    Ok(frame)
}

/// What was read for a call on which the layer does not act: an error in the one type that layers
/// have, all else as it came.
#[inline]
pub(crate) fn passed<E: Into<BoxError>>(
    polled: Poll<Option<Result<Frame<Bytes>, E>>>,
) -> Poll<Read> {
    polled.map_err(|error| Error::from_inner(error).after_headers())
}
