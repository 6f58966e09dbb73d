use std::time::Duration;

use http::HeaderValue;

const MAX_DIGITS: usize = 8;
const MAX_VALUE: u32 = 99_999_999;

/// The units of the grammar, finest first, with their length in nanoseconds.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60 * 1_000_000_000),
    (b'H', 3_600 * 1_000_000_000),
];

/// Returned for a `grpc-timeout` outside the grammar `1*8DIGIT ("H" / "M" / "S" / "m" / "u" /
/// "n")`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed grpc-timeout: expected one to eight digits and one of the units H M S m u n")]
pub struct InvalidTimeout;

/// Reads a `grpc-timeout` value.
///
/// Source: [PROTOCOL-HTTP2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)
/// (CONTRACT D1).
///
/// # Errors
///
/// [`InvalidTimeout`] if the value is outside the grammar.
pub fn parse_timeout(value: &[u8]) -> Result<Duration, InvalidTimeout> {
    let (unit, digits) = value.split_last().ok_or(InvalidTimeout)?;
    let (_, nanos) = UNITS
        .iter()
        .find(|(letter, _)| letter == unit)
        .ok_or(InvalidTimeout)?;
    if digits.is_empty() || digits.len() > MAX_DIGITS {
        return Err(InvalidTimeout);
    }
    let mut count = 0_u128;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(InvalidTimeout);
        }
        count = count * 10 + u128::from(digit - b'0');
    }
    Ok(from_nanos(count * nanos))
}

/// Writes a duration as a `grpc-timeout` value: the finest unit whose value fits eight digits.
///
/// Rounds down to at least `1n`, so the value is not longer than the time that remains. A duration
/// above 99999999 hours is sent as that maximum (CONTRACT D2).
#[must_use]
pub fn render_timeout(timeout: Duration) -> HeaderValue {
    let nanos = timeout.as_nanos().max(1);
    // Most values fit, and need no 128-bit arithmetic.
    if let Ok(nanos) = u64::try_from(nanos) {
        for (unit, length) in [(b'n', 1), (b'u', 1_000), (b'm', 1_000_000)] {
            if let Some(value) = value(u128::from(nanos / length), unit) {
                return value;
            }
        }
    }
    let mut values = UNITS
        .iter()
        .map(|(unit, length)| value(nanos / length, *unit));
    let finest = values.find_map(|value| value);
    finest.unwrap_or(HeaderValue::from_static("99999999H"))
}

/// `None` if the value has more than eight digits.
fn value(count: u128, unit: u8) -> Option<HeaderValue> {
    let mut count = u32::try_from(count).ok().filter(|it| *it <= MAX_VALUE)?;
    let mut text = [unit; MAX_DIGITS + 1];
    let mut start = MAX_DIGITS;
    for place in text.iter_mut().rev().skip(1) {
        *place = b'0' + u8::try_from(count % 10).ok()?;
        count /= 10;
        start -= 1;
        if count == 0 {
            break;
        }
    }
    HeaderValue::from_bytes(text.get(start..)?).ok()
}

fn from_nanos(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    let subsecond = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
    Duration::new(seconds, subsecond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_unit() {
        for (text, expected) in [
            ("1H", Duration::from_secs(3_600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("00000006n", Duration::from_nanos(6)),
            ("0S", Duration::ZERO),
        ] {
            assert_eq!(parse_timeout(text.as_bytes()), Ok(expected), "{text}");
        }
    }

    // CONTRACT D1
    #[test]
    fn refuses_what_is_outside_the_grammar() {
        for text in [
            "",
            "S",
            "1",
            "1s",
            "123456789n",
            "-1S",
            "+1S",
            "1 S",
            " 1S",
            "1.5S",
            "1SS",
        ] {
            assert_eq!(
                parse_timeout(text.as_bytes()),
                Err(InvalidTimeout),
                "{text:?}"
            );
        }
    }

    // CONTRACT D2, PEER-CASES NET-deadline-overflow
    #[test]
    fn renders_at_the_edges_of_the_grammar() {
        assert_eq!(render_timeout(Duration::ZERO), "1n");
        assert_eq!(
            render_timeout(Duration::from_nanos(99_999_999)),
            "99999999n"
        );
        assert_eq!(render_timeout(Duration::from_millis(100)), "100000u");
        assert_eq!(render_timeout(Duration::MAX), "99999999H");
    }

    proptest! {
        // CONTRACT D2
        #[test]
        fn what_is_rendered_is_never_longer_than_what_is_left(
            seconds in 0_u64..99_999_999 * 3_600, nanos in 0_u32..1_000_000_000,
        ) {
            let left = Duration::new(seconds, nanos).max(Duration::from_nanos(1));
            let text = render_timeout(left);
            let sent = parse_timeout(text.as_bytes()).unwrap();
            let unit = *text.as_bytes().last().unwrap();
            let length = UNITS.iter().find(|(letter, _)| *letter == unit).unwrap().1;
            prop_assert!(sent <= left);
            prop_assert!(left.as_nanos() - sent.as_nanos() < length);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = parse_timeout(&bytes);
        }
    }
}
