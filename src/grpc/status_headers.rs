use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::headers::FEW;
use super::{Code, DETAILS, UNPROCESSED};

/// The result of one pass over the headers of an answer, or over its trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusHeaders {
    /// The code of `grpc-status`, if present.
    pub(crate) code: Option<Code>,
    /// Whether `grpc-status-details-bin` is present.
    pub(crate) has_details: bool,
    /// Whether the mark "unprocessed" is present.
    pub(crate) has_vouch: bool,
    /// Whether the content type is not gRPC.
    pub(crate) is_foreign: bool,
}

impl StatusHeaders {
    pub(crate) fn at(headers: &HeaderMap) -> Self {
        if headers.len() > FEW {
            return Self {
                code: Code::from_headers(headers),
                has_details: headers.contains_key(DETAILS),
                has_vouch: headers.contains_key(UNPROCESSED),
                is_foreign: headers.get(CONTENT_TYPE).is_some_and(is_foreign),
            };
        }
        let (mut status, mut kind) = (None, None);
        let (mut has_details, mut has_vouch) = (false, false);
        for (name, value) in headers {
            if *name == CONTENT_TYPE {
                kind = kind.or(Some(value));
                continue;
            }
            let name = name.as_str();
            if name == "grpc-status" {
                status = status.or(Some(value));
            } else if name == "grpc-status-details-bin" {
                has_details = true;
            } else if name == "grpc-resilience-unprocessed" {
                has_vouch = true;
            }
        }
        Self {
            code: status.map(|value| Code::from_header(value.as_bytes())),
            has_details,
            has_vouch,
            is_foreign: kind.is_some_and(is_foreign),
        }
    }

    /// Whether a head with this HTTP status leaves the status to trailers, or is OK itself
    /// (CONTRACT H1, H2).
    pub(crate) fn is_no_failure(self, http: StatusCode) -> bool {
        match self.code {
            Some(code) => code == Code::Ok,
            None => http == StatusCode::OK && !self.is_foreign,
        }
    }
}

/// The common start of gRPC's media types, before `+proto`, `;` or `-web`.
const GRPC: &[u8] = b"application/grpc";

/// An absent content type passes: in-memory services and old servers omit it.
fn is_foreign(kind: &HeaderValue) -> bool {
    let kind = kind.as_bytes();
    // The usual form.
    if kind.starts_with(GRPC) {
        return false;
    }
    let prefix = kind.get(..GRPC.len());
    !prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(GRPC))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::grpc::STATUS;

    #[test]
    fn few_headers_and_many_tell_the_same() {
        let mut headers = HeaderMap::new();
        headers.append(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        headers.append(STATUS, HeaderValue::from_static("14"));
        headers.append(STATUS, HeaderValue::from_static("0"));
        headers.append(DETAILS, HeaderValue::from_static("AA"));
        headers.append(UNPROCESSED, HeaderValue::from_static("/a.B/C"));
        headers.append(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let few = StatusHeaders::at(&headers);
        for count in 0..FEW {
            let name = HeaderName::try_from(format!("x-{count}")).unwrap();
            headers.append(name, HeaderValue::from(count));
        }
        assert_eq!(few, StatusHeaders::at(&headers));
        let expected = StatusHeaders {
            code: Some(Code::Unavailable),
            has_details: true,
            has_vouch: true,
            is_foreign: true,
        };
        assert_eq!(few, expected);
    }
}
