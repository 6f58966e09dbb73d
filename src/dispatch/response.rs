use bytes::Bytes;
use http::Response;
use http_body::Frame;

use crate::error::{BoxError, Error};
use crate::grpc::remove_malformed_details;

/// A response head as every layer hands it up: it can't make tonic's client panic.
pub(crate) fn tidy_head<B>(response: &mut Response<B>) {
    remove_malformed_details(response.headers_mut());
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
