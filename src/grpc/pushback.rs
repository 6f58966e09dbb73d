use std::time::Duration;

use http::HeaderMap;

use super::PUSHBACK;
use super::headers::find;

/// The server's instruction for retries, from `grpc-retry-pushback-ms`.
///
/// Source: [gRFC A6, Pushback][A6] (CONTRACT P1 to P3).
///
/// [A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// Retry after exactly this delay, if the call may be retried at all.
    After(Duration),
    /// Do not retry: the value was negative, malformed, empty, or given more than once.
    Stop,
}

impl Pushback {
    /// Reads the header from trailers or from a Trailers-Only head; `None` if it is absent.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        find(headers, &PUSHBACK)?;
        let mut values = headers.get_all(PUSHBACK).iter();
        let first = values.next()?;
        if values.next().is_some() {
            return Some(Self::Stop);
        }
        Some(parse(first.as_bytes()).map_or(Self::Stop, Self::After))
    }
}

/// An ASCII `int32` without leading zeros that is not negative.
fn parse(value: &[u8]) -> Option<Duration> {
    let canonical = match value {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    let millis: i32 = std::str::from_utf8(value).ok()?.parse().ok()?;
    u64::try_from(millis).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&str]) -> Option<Pushback> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PUSHBACK, HeaderValue::from_str(value).unwrap());
        }
        Pushback::from_headers(&headers)
    }

    // CONTRACT P1, P2
    #[test]
    fn a_delay_is_read_in_milliseconds() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["0"]), Some(Pushback::After(Duration::ZERO)));
        assert_eq!(
            read(&["1500"]),
            Some(Pushback::After(Duration::from_millis(1500)))
        );
        let most = Duration::from_millis(2_147_483_647);
        assert_eq!(read(&["2147483647"]), Some(Pushback::After(most)));
    }

    // CONTRACT P3, PEER-CASES GO-pushback-negative, -nonnumeric, -multiple, JAVA-pushback-none
    #[test]
    fn anything_else_means_do_not_retry() {
        for value in [
            "-1",
            "xxx",
            "",
            "01",
            "+1",
            "1.5",
            "2147483648",
            " 1",
            "99999999999999999999",
        ] {
            assert_eq!(read(&[value]), Some(Pushback::Stop), "{value:?}");
        }
        assert_eq!(read(&["100", "10"]), Some(Pushback::Stop));
        assert_eq!(read(&["100", "100"]), Some(Pushback::Stop));
    }
}
