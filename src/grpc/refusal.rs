//! The answers that servers write: Trailers-Only, with a retry delay and the mark "unprocessed".

use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderValue, Response, Uri};
use http_body::Frame;
use prost::Message;

use super::headers::find;
use super::leader_hint::{ERROR_INFO, ErrorInfo};
use super::retry_info::{MAX_SECONDS, RETRY_INFO, RetryInfo};
use super::tonic::has_no_effect;
use super::unprocessed::path_of;
use super::{Code, Status, UNPROCESSED};

/// `google.rpc.Status` for writing; reading is more lenient.
#[derive(Clone, PartialEq, Message)]
struct WrittenStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// A serialised `google.rpc.Status` with a `google.rpc.RetryInfo` of this delay, as [`retry_delay`]
/// reads it.
///
/// The delay is at most 10,000 years, the maximum of duration.proto.
#[must_use]
pub(crate) fn retry_info_details(code: Code, message: &str, delay: Duration) -> Bytes {
    let delay = delay.min(Duration::from_secs(MAX_SECONDS));
    let retry_delay = Some(prost_types::Duration {
        seconds: delay.as_secs().cast_signed(),
        nanos: delay.subsec_nanos().cast_signed(),
    });
    details(code, message, RETRY_INFO, &RetryInfo { retry_delay })
}

/// A serialised `google.rpc.Status` with a `google.rpc.ErrorInfo` that names the leader, as
/// [`leader_hint`](super::leader_hint) reads it.
#[must_use]
pub(crate) fn leader_details(code: Code, message: &str, leader: &str) -> Bytes {
    details(code, message, ERROR_INFO, &ErrorInfo::of_leader(leader))
}

/// A serialised `google.rpc.Status` with this detail.
fn details(code: Code, message: &str, name: &str, detail: &impl Message) -> Bytes {
    let detail = prost_types::Any {
        type_url: format!("type.googleapis.com/{name}"),
        value: detail.encode_to_vec(),
    };
    let status = WrittenStatus {
        code: i32::from(code as u8),
        message: message.to_owned(),
        details: vec![detail],
    };
    status.encode_to_vec().into()
}

/// Marks an answer of this crate's server layers, whose mark "unprocessed" outer layers keep.
#[derive(Clone, Copy, Debug)]
struct Own;

impl Status {
    /// Adds the mark that the request had no effect.
    pub(crate) fn vouching_for(self, uri: &Uri) -> Self {
        let Ok(path) = HeaderValue::from_str(path_of(uri)) else {
            return self;
        };
        let mut metadata = self.metadata().clone();
        metadata.insert(UNPROCESSED, path);
        self.with_metadata(metadata)
    }

    /// This status as the Trailers-Only answer of a server layer.
    pub(crate) fn into_answer<B>(self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        response.extensions_mut().insert(Own);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.extend(self.into_headers());
        response
    }
}

/// Writes the mark "unprocessed" into the head of a handler's response where the handler says so,
/// and removes it elsewhere: the handler may pass on the status of another call.
pub(crate) fn settle_head<B>(response: &mut Response<B>, path: Option<&PathAndQuery>) {
    if response.extensions().get::<Own>().is_some() {
        return;
    }
    if find(response.headers(), &UNPROCESSED).is_some() {
        response.headers_mut().remove(UNPROCESSED);
    }
    if has_no_effect(response.extensions())
        && let Some(path) = path.and_then(|path| HeaderValue::from_str(path.as_str()).ok())
    {
        response.headers_mut().insert(UNPROCESSED, path);
        response.extensions_mut().insert(Own);
    }
}

/// Removes that mark from the trailers.
pub(crate) fn strip_trailers<D, E>(read: &mut Poll<Option<Result<Frame<D>, E>>>) {
    if let Poll::Ready(Some(Ok(frame))) = read
        && let Some(trailers) = frame.trailers_mut()
        && find(trailers, &UNPROCESSED).is_some()
    {
        trailers.remove(UNPROCESSED);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::retry_delay;
    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            code in 0_u8..17, message in ".{0,40}",
            seconds in 0..=MAX_SECONDS, nanos in 0_u32..1_000_000_000,
        ) {
            let delay = Duration::new(seconds, nanos).min(Duration::from_secs(MAX_SECONDS));
            let details = retry_info_details(Code::from_number(code), &message, delay);
            prop_assert_eq!(retry_delay(&details), Some(delay).filter(|it| !it.is_zero()));
            let status = WrittenStatus::decode(details).unwrap();
            prop_assert_eq!((status.code, status.message), (i32::from(code), message));
        }
    }
}
