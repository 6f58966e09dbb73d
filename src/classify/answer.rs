use http::{HeaderMap, StatusCode};

use crate::grpc::{Code, Pushback, Status, StatusHeaders, retry_delay};

use super::{Hint, Progress, Reason, Verdict, size_limit};

/// Classifies a status that the server sent.
#[must_use]
pub fn answer(status: &Status) -> Verdict {
    let reason = if size_limit::is_named_by(status) {
        Reason::MessageTooLarge
    } else {
        Reason::Answered
    };
    Verdict {
        hint: hint(status),
        ..Verdict::new(Progress::Answered, status.code(), reason)
    }
}

/// The failure in a response head; `None` if the head is OK or leaves the status to trailers.
///
/// A `grpc-status` takes precedence over the HTTP status; without one the HTTP status is mapped
/// (CONTRACT H1, H2). A 200 that is not gRPC, such as a proxy's page, is UNKNOWN. Allocates only
/// for a failure.
#[must_use]
pub fn head(http: StatusCode, headers: &HeaderMap) -> Option<(Verdict, Status)> {
    let glance = StatusHeaders::at(headers);
    if glance.is_no_failure(http) {
        return None;
    }
    if glance.code.is_some() {
        return spoken(headers);
    }
    let status = Status::from_http(http, headers);
    let reason = if size_limit::is_http(http) {
        Reason::MessageTooLarge
    } else {
        Reason::HttpStatus
    };
    let verdict = Verdict::new(Progress::Answered, status.code(), reason);
    Some((verdict, status))
}

/// The failure in trailers; `None` if they are OK. Allocates only for a failure.
///
/// Trailers without `grpc-status` are one, see `no_status`.
#[must_use]
pub fn trailers(trailers: &HeaderMap) -> Option<(Verdict, Status)> {
    match Code::from_headers(trailers) {
        Some(Code::Ok) => None,
        Some(_) => spoken(trailers),
        None => {
            let (verdict, status) = no_status();
            Some((verdict, status.with_metadata(trailers.clone())))
        }
    }
}

/// The failure of a gRPC answer that ended without a status: UNKNOWN (CONTRACT R16, H2).
///
/// The server, or a proxy before it, stopped half-way. hyper also reports a stream that was reset
/// with `NO_ERROR` as such an end.
#[must_use]
pub(crate) fn no_status() -> (Verdict, Status) {
    let verdict = Verdict::new(Progress::Reached, Code::Unknown, Reason::NoStatus);
    let message = "the answer ended without a grpc-status: it may be incomplete";
    (verdict, Status::new(Code::Unknown, message))
}

/// The failure that `grpc-status` in these headers states.
fn spoken(headers: &HeaderMap) -> Option<(Verdict, Status)> {
    let status = Status::from_headers(headers)?;
    let mut verdict = answer(&status);
    if !Code::is_in(headers) {
        verdict.reason = Reason::InvalidStatus;
    }
    Some((verdict, status))
}

/// Pushback beats `RetryInfo` (CONTRACT P9).
fn hint(status: &Status) -> Option<Hint> {
    match Pushback::from_headers(status.metadata()) {
        Some(Pushback::Stop) => Some(Hint::Stop),
        Some(Pushback::After(delay)) => Some(Hint::Exactly(delay)),
        None => retry_delay(status.details()).map(Hint::AtLeast),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, http::HeaderValue::from_static(value))
            })
            .collect()
    }

    // CONTRACT H1
    #[test]
    fn a_grpc_status_counts_whatever_the_http_status() {
        let trailers_only = headers(&[("grpc-status", "5")]);
        let (verdict, _) = head(StatusCode::BAD_GATEWAY, &trailers_only).unwrap();
        assert_eq!(verdict.code, Code::NotFound);
        assert_eq!(verdict.progress, Progress::Answered);
        assert!(head(StatusCode::BAD_GATEWAY, &headers(&[("grpc-status", "0")])).is_none());
    }

    // CONTRACT H2
    #[test]
    fn a_head_without_grpc_status_is_judged_by_http_status_and_content_type() {
        let html = headers(&[("content-type", "text/html")]);
        let grpc = headers(&[("content-type", "application/grpc+proto")]);
        let code = |http, headers| head(http, headers).map(|(verdict, _)| verdict.code);
        assert_eq!(
            code(StatusCode::SERVICE_UNAVAILABLE, &html),
            Some(Code::Unavailable)
        );
        assert_eq!(code(StatusCode::OK, &html), Some(Code::Unknown));
        assert_eq!(code(StatusCode::OK, &grpc), None);
        assert_eq!(code(StatusCode::OK, &HeaderMap::new()), None);
    }

    // CONTRACT P9
    #[test]
    fn pushback_beats_retry_info() {
        // google.rpc.Status { details: [RetryInfo { retry_delay: 3 s }] }
        let details = "GjAKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SBAoCCAM";
        let with = |pushback: &'static str| {
            let mut map = headers(&[("grpc-status", "14"), ("grpc-status-details-bin", details)]);
            if !pushback.is_empty() {
                map.extend(headers(&[("grpc-retry-pushback-ms", pushback)]));
            }
            head(StatusCode::OK, &map).unwrap().0.hint
        };
        assert_eq!(with(""), Some(Hint::AtLeast(Duration::from_secs(3))));
        assert_eq!(with("100"), Some(Hint::Exactly(Duration::from_millis(100))));
        assert_eq!(with("-1"), Some(Hint::Stop));
    }

    // CONTRACT R15, R16
    #[test]
    fn what_no_later_attempt_can_cure_is_told_from_other_answers() {
        let too_large = "grpc: received message larger than max (5 vs. 4)";
        for (code, message, reason) in [
            ("8", too_large, Reason::MessageTooLarge),
            ("8", "quota used up", Reason::Answered),
            ("2", "quota used up", Reason::Answered),
            ("17", "quota used up", Reason::InvalidStatus),
            ("08", too_large, Reason::InvalidStatus),
        ] {
            let map = headers(&[("grpc-status", code), ("grpc-message", message)]);
            let (verdict, _) = head(StatusCode::OK, &map).unwrap();
            assert_eq!(verdict.reason, reason, "{code} {message}");
            assert_eq!(trailers(&map).unwrap().0, verdict);
        }
    }
}
