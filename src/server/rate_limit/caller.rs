use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::grpc::{PREVIOUS_ATTEMPTS, TIMEOUT, parse_timeout};

/// The caller of a request, from its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// Whether this is a retry, by gRFC A6's header.
    pub(super) returning: bool,
    /// The caller can return or wait for a cell that is nearer than this.
    pub(super) patience: Duration,
}

impl Caller {
    /// A malformed count means a new caller. A malformed timeout means no patience: no cell is kept
    /// for a caller with an unknown deadline.
    pub(super) fn of(headers: &HeaderMap, longest: Duration) -> Self {
        let timeout = headers.contains_key(TIMEOUT).then(|| {
            let value = only(headers, &TIMEOUT);
            let timeout = value.and_then(|value| parse_timeout(value.as_bytes()).ok());
            timeout.unwrap_or_default()
        });
        let previous = only(headers, &PREVIOUS_ATTEMPTS);
        let returning = previous.is_some_and(|value| counts_attempts(value.as_bytes()));
        Self {
            returning,
            patience: timeout.map_or(longest, |timeout| timeout.min(longest)),
        }
    }
}

/// The value; `None` if the header is absent or repeated.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether the value is a number above zero.
fn counts_attempts(value: &[u8]) -> bool {
    // `parse` would accept a plus sign.
    value.first().is_some_and(u8::is_ascii_digit)
        && std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<u32>().ok())
            .is_some_and(|attempts| attempts > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONGEST: Duration = Duration::from_secs(60);

    fn caller(pairs: &[(HeaderName, &str)]) -> Caller {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        Caller::of(&headers, LONGEST)
    }

    // CONTRACT R10
    #[test]
    fn who_counts_its_attempts_comes_again_and_what_is_malformed_does_not_count() {
        assert!(!caller(&[]).returning);
        for (text, returning) in [
            ("1", true),
            ("2", true),
            ("4294967295", true),
            ("0", false),
            ("", false),
            ("-1", false),
            ("+1", false),
            ("1.5", false),
            (" 1", false),
            ("one", false),
            ("4294967296", false),
        ] {
            let caller = caller(&[(PREVIOUS_ATTEMPTS, text)]);
            assert_eq!(caller.returning, returning, "{text:?}");
        }
        assert!(!caller(&[(PREVIOUS_ATTEMPTS, "1"), (PREVIOUS_ATTEMPTS, "1")]).returning);
    }

    // CONTRACT D1, D3
    #[test]
    fn patience_is_the_timeout_or_the_longest_promise_and_none_if_malformed() {
        assert_eq!(caller(&[]).patience, LONGEST);
        let millis = |value| Duration::from_millis(value);
        for (text, patience) in [
            ("100m", millis(100)),
            ("99999999H", LONGEST),
            ("0S", Duration::ZERO),
            ("", Duration::ZERO),
            ("5", Duration::ZERO),
            ("-5m", Duration::ZERO),
        ] {
            assert_eq!(caller(&[(TIMEOUT, text)]).patience, patience, "{text:?}");
        }
        let twice = caller(&[(TIMEOUT, "5S"), (TIMEOUT, "5S")]);
        assert_eq!(twice.patience, Duration::ZERO);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(
            attempts in proptest::collection::vec(32_u8..=255, 0..12),
            timeout in proptest::collection::vec(32_u8..=255, 0..12),
        ) {
            let mut headers = HeaderMap::new();
            for (name, bytes) in [(PREVIOUS_ATTEMPTS, attempts), (TIMEOUT, timeout)] {
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    headers.insert(name, value);
                }
            }
            prop_assert!(Caller::of(&headers, LONGEST).patience <= LONGEST);
        }
    }
}
