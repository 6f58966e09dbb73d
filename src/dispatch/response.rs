use bytes::Bytes;
use http::Response;
use http_body::Frame;

use crate::classify;
use crate::error::{BoxError, Error};
use crate::grpc::{STATUS, find, remove_malformed_details};

/// A response head as every layer hands it up: it can't make tonic's client panic, and what is no
/// gRPC answer, such as a proxy's page, is the failure that its HTTP status says (CONTRACT H2).
pub(crate) fn received<B>(mut response: Response<B>) -> Result<Response<B>, Error> {
    remove_malformed_details(response.headers_mut());
    if find(response.headers(), &STATUS).is_some() {
        // Whatever it says, a gRPC answer says it: who acts on it reads it.
        return Ok(response);
    }
    match classify::head(response.status(), response.headers()) {
        Some((verdict, status)) => Err(Error::answered(verdict, status)),
        None => Ok(response),
    }
}

/// A frame of a response as every layer hands it up: errors are classified, and trailers can't
/// make tonic's client panic.
pub(crate) fn tidy<E: Into<BoxError>>(
    frame: Result<Frame<Bytes>, E>,
) -> Result<Frame<Bytes>, Error> {
    let mut frame = frame.map_err(|error| Error::from_inner(error).after_headers())?;
    if let Some(trailers) = frame.trailers_mut() {
        remove_malformed_details(trailers);
    }
    Ok(frame)
}
