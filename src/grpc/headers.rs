//! The names of the headers and trailers that this crate reads or writes.

use http::{HeaderMap, HeaderName, HeaderValue};

/// `grpc-status`: the code of the call, in ASCII decimal.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// `grpc-message`: the percent-encoded message of the status.
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// `grpc-status-details-bin`: a base64 `google.rpc.Status`.
pub const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// `grpc-timeout`: the time that the caller still waits.
pub const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// `grpc-previous-rpc-attempts`: the number of attempts before this one (gRFC A6).
pub(crate) const PREVIOUS_ATTEMPTS: HeaderName =
    HeaderName::from_static("grpc-previous-rpc-attempts");
/// `grpc-retry-pushback-ms`: the server's instruction when to retry (gRFC A6).
pub const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
/// `grpc-resilience-unprocessed`: in a Trailers-Only failure, the `:path` of a request that had no
/// effect.
///
/// [`ServerRateLimitLayer`](crate::ServerRateLimitLayer) and
/// [`ServerDeadlineLayer`](crate::ServerDeadlineLayer) add it to their refusals. See
/// [`RetryLayer::trust_unprocessed`](crate::RetryLayer::trust_unprocessed).
pub(crate) const UNPROCESSED: HeaderName = HeaderName::from_static("grpc-resilience-unprocessed");

/// Up to this number of headers are compared one by one: hashing a name costs more than that.
pub(super) const FEW: usize = 8;

/// The first value of this name.
#[inline]
pub(crate) fn find<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    if headers.len() > FEW {
        return headers.get(name);
    }
    let mut named = headers.iter().filter(|(it, _)| *it == name);
    named.next().map(|(_, value)| value)
}

/// Whether there are several values of this name.
pub(crate) fn is_repeated(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_headers_and_many_are_found_alike() {
        let mut headers = HeaderMap::new();
        for count in 0..20 {
            assert_eq!(find(&headers, &STATUS), headers.get(STATUS), "{count}");
            let name = match count {
                5 => STATUS,
                _ => HeaderName::try_from(format!("x-{count}")).unwrap(),
            };
            headers.append(name, HeaderValue::from(count));
            headers.append("x-twice", HeaderValue::from(count));
        }
        let twice = HeaderName::from_static("x-twice");
        assert_eq!(find(&headers, &twice), Some(&HeaderValue::from(0)));
    }
}
