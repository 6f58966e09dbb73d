//! What goes over the wire: length-prefixed messages and status details.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message;
use prost_types::Any;
use tonic::Code;
use tonic_types::pb;

/// Bytes before each message: a compression flag and a length.
const PREFIX: usize = 5;

/// One message as gRPC sends it: not compressed, behind its length.
///
/// # Panics
///
/// If the message is larger than a gRPC frame can say (4 GiB).
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "no test builds a message of more than 4 GiB"
)]
pub fn grpc_frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("a gRPC message is shorter than 4 GiB"));
    message
        .encode(&mut frame)
        .expect("a BytesMut takes all that is written");
    frame.freeze()
}

/// The payloads of the whole messages in `body`; what is cut off at the end is left out.
pub(crate) fn messages(mut body: Bytes) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while let Some(length) = first_length(&body) {
        if body.len() - PREFIX < length {
            break;
        }
        body.advance(PREFIX);
        messages.push(body.split_to(length));
    }
    messages
}

/// The length that the first prefix in `body` announces.
fn first_length(body: &[u8]) -> Option<usize> {
    let (prefix, _) = body.split_first_chunk::<PREFIX>()?;
    let [_compressed, length @ ..] = *prefix;
    usize::try_from(u32::from_be_bytes(length)).ok()
}

/// A serialized `google.rpc.Status`, as `grpc-status-details-bin` carries it (before base64).
///
/// ```
/// use prost_types::Any;
/// use testing::details;
/// use tonic::Code;
///
/// let unknown = Any { type_url: "type.googleapis.com/test.Unknown".into(), value: vec![] };
/// let bytes = details(Code::Unavailable, "draining", &[unknown]);
/// ```
#[must_use]
pub fn details(code: Code, message: &str, details: &[Any]) -> Bytes {
    let status = pb::Status {
        code: code.into(),
        message: message.to_owned(),
        details: details.to_vec(),
    };
    status.encode_to_vec().into()
}

/// A `google.rpc.RetryInfo`, packed for [`details`].
///
/// # Panics
///
/// If `delay` is longer than a protobuf duration can say.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "a delay of 292 billion years is a mistake in the test"
)]
pub fn retry_info_any(delay: Duration) -> Any {
    let delay = prost_types::Duration::try_from(delay).expect("the delay fits a protobuf duration");
    let info = pb::RetryInfo {
        retry_delay: Some(delay),
    };
    Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: info.encode_to_vec(),
    }
}

/// Serialized status details, for UNAVAILABLE, that hold only a `RetryInfo` of `delay`.
///
/// # Panics
///
/// If `delay` is longer than a protobuf duration can say.
#[must_use]
pub fn retry_info(delay: Duration) -> Bytes {
    details(Code::Unavailable, "", &[retry_info_any(delay)])
}
