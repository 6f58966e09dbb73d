use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

use super::headers::find;
use super::{Code, DETAILS, MESSAGE, STATUS, UNPROCESSED};

/// Reads gRPC's binary headers with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Writes them without padding, as the core implementations do.
const WRITTEN: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_encode_padding(false),
);

/// Escapes all characters except printable ASCII, and `%`.
const MESSAGE_ESCAPES: &AsciiSet = &CONTROLS.add(b'%');

/// The status of a call: code, message, details and the other metadata.
#[derive(Clone)]
pub struct Status {
    code: Code,
    message: String,
    details: Bytes,
    metadata: HeaderMap,
}

impl Status {
    /// A status with a code and a message.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Bytes::new(),
            metadata: HeaderMap::new(),
        }
    }

    /// Sets the details: the bytes of a `google.rpc.Status`.
    #[must_use]
    pub fn with_details(mut self, details: Bytes) -> Self {
        self.details = details;
        self
    }

    /// Sets the metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: HeaderMap) -> Self {
        self.metadata = metadata;
        self
    }

    /// Reads the status from trailers or from a Trailers-Only head; `None` without `grpc-status`.
    ///
    /// Malformed details count as absent, and a message that is not UTF-8 is decoded with
    /// replacement characters (CONTRACT H5): neither hides the code.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let code = Code::from_header(find(headers, &STATUS)?.as_bytes());
        let message = find(headers, &MESSAGE).map_or_else(String::new, |value| {
            percent_decode(value.as_bytes())
                .decode_utf8_lossy()
                .into_owned()
        });
        let details = find(headers, &DETAILS).and_then(decode).unwrap_or_default();
        let mut metadata = headers.clone();
        for name in [STATUS, MESSAGE, DETAILS] {
            metadata.remove(name);
        }
        Some(Self {
            code,
            message,
            details,
            metadata,
        })
    }

    /// The status of an HTTP answer that carries no `grpc-status` (CONTRACT H2).
    ///
    /// Source: [http-grpc-status-mapping][mapping].
    ///
    /// [mapping]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
    #[must_use]
    pub fn from_http(http: StatusCode, headers: &HeaderMap) -> Self {
        let code = match http.as_u16() {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        let message = format!("the answer carries no grpc-status; HTTP status {http}");
        Self::new(code, message).with_metadata(headers.clone())
    }

    /// Writes the status as trailers, or as the additional headers of a Trailers-Only head.
    ///
    /// The message is percent-encoded and the details are base64 without padding, as PROTOCOL-HTTP2
    /// requires.
    #[must_use]
    pub fn into_headers(self) -> HeaderMap {
        let mut headers = self.metadata;
        headers.insert(STATUS, HeaderValue::from(u16::from(self.code as u8)));
        let message = utf8_percent_encode(&self.message, MESSAGE_ESCAPES).to_string();
        if let Some(message) = value(&message) {
            headers.insert(MESSAGE, message);
        }
        if let Some(details) = value(&WRITTEN.encode(&self.details)) {
            headers.insert(DETAILS, details);
        }
        headers
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The message, already percent-decoded.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The bytes of a `google.rpc.Status`, already base64-decoded; empty if there were none.
    #[must_use]
    pub fn details(&self) -> &Bytes {
        &self.details
    }

    /// The metadata that came with the status, without its own three headers.
    #[must_use]
    pub fn metadata(&self) -> &HeaderMap {
        &self.metadata
    }

    /// Removes the mark "unprocessed", which is valid for one hop only (CONTRACT I7).
    pub(crate) fn without_vouch(mut self) -> Self {
        if find(&self.metadata, &UNPROCESSED).is_some() {
            self.metadata.remove(UNPROCESSED);
        }
        self
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Status {}

/// Metadata may hold credentials, so only its names are shown.
impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.metadata.keys().collect();
        f.debug_struct("Status")
            .field("code", &self.code)
            .field("message", &self.message)
            .field("details", &format_args!("{} bytes", self.details.len()))
            .field("metadata", &names)
            .finish()
    }
}

/// A header value; `None` for an empty text.
fn value(text: &str) -> Option<HeaderValue> {
    Some(text)
        .filter(|text| !text.is_empty())
        .and_then(|text| HeaderValue::from_str(text).ok())
}

fn decode(value: &HeaderValue) -> Option<Bytes> {
    BASE64.decode(value.as_bytes()).ok().map(Bytes::from)
}

/// Removes `grpc-status-details-bin` if it is not base64, and returns whether it did.
///
/// tonic's client panics on such a value, in the caller's task.
pub fn remove_malformed_details(headers: &mut HeaderMap) -> bool {
    if find(headers, &DETAILS).is_none() {
        return false;
    }
    let malformed = headers
        .get_all(DETAILS)
        .iter()
        .any(|value| decode(value).is_none());
    if malformed {
        headers.remove(DETAILS);
    }
    malformed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn code_message_details_and_the_rest_are_told_apart() {
        let status = Status::from_headers(&headers(&[
            ("grpc-status", "14"),
            ("grpc-message", "not%20now"),
            ("grpc-status-details-bin", "AQID"),
            ("x-zone", "b"),
        ]))
        .unwrap();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "not now");
        assert_eq!(status.details().as_ref(), [1, 2, 3]);
        assert_eq!(status.metadata().len(), 1);
    }

    #[test]
    fn details_are_read_with_and_without_padding() {
        for text in ["AQI=", "AQI"] {
            let map = headers(&[("grpc-status", "3"), ("grpc-status-details-bin", text)]);
            assert_eq!(
                Status::from_headers(&map).unwrap().details().as_ref(),
                [1, 2]
            );
        }
    }

    #[test]
    fn malformed_details_are_taken_out_and_do_not_hide_the_code() {
        let mut map = headers(&[("grpc-status", "14"), ("grpc-status-details-bin", "%%%")]);
        assert_eq!(
            Status::from_headers(&map).unwrap().code(),
            Code::Unavailable
        );
        assert!(remove_malformed_details(&mut map));
        assert!(map.get(DETAILS).is_none());
        assert!(!remove_malformed_details(&mut map));
    }

    // CONTRACT H5
    #[test]
    fn a_message_that_is_no_utf8_is_decoded_leniently() {
        let map = headers(&[("grpc-status", "14"), ("grpc-message", "%FF%zz ok")]);
        let status = Status::from_headers(&map).unwrap();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "\u{fffd}%zz ok");
    }

    // CONTRACT H2
    #[test]
    fn an_http_status_becomes_the_code_of_the_mapping() {
        let code =
            |http| Status::from_http(StatusCode::from_u16(http).unwrap(), &HeaderMap::new()).code();
        assert_eq!(code(400), Code::Internal);
        assert_eq!(code(401), Code::Unauthenticated);
        assert_eq!(code(403), Code::PermissionDenied);
        assert_eq!(code(404), Code::Unimplemented);
        for http in [429, 502, 503, 504] {
            assert_eq!(code(http), Code::Unavailable);
        }
        for http in [200, 302, 418, 500] {
            assert_eq!(code(http), Code::Unknown);
        }
    }

    #[test]
    fn debug_shows_no_metadata_values() {
        let status =
            Status::new(Code::Internal, "x").with_metadata(headers(&[("authorization", "secret")]));
        assert!(!format!("{status:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            code in 0_u8..17, message in ".{0,40}", details in any::<Vec<u8>>(),
        ) {
            let status = Status::new(Code::from_number(code), message.clone())
                .with_details(details.clone().into())
                .with_metadata(headers(&[("x-zone", "b")]));
            let written = status.into_headers();
            prop_assert!(written.values().all(|value| value.to_str().is_ok()));
            let read = Status::from_headers(&written).unwrap();
            prop_assert_eq!(read.code(), Code::from_number(code));
            prop_assert_eq!(read.message(), message);
            prop_assert_eq!(read.details().as_ref(), details);
            prop_assert_eq!(read.metadata().len(), 1);
        }

        #[test]
        fn random_headers_never_panic(
            code in "[ -~]{0,4}", message in "[ -~]{0,20}", details in "[ -~]{0,20}",
        ) {
            let mut map = HeaderMap::new();
            map.insert(STATUS, HeaderValue::from_str(&code).unwrap());
            map.insert(MESSAGE, HeaderValue::from_str(&message).unwrap());
            map.insert(DETAILS, HeaderValue::from_str(&details).unwrap());
            prop_assert!(Status::from_headers(&map).is_some());
            remove_malformed_details(&mut map);
        }
    }
}
