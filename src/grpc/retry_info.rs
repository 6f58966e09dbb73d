use std::time::Duration;

#[cfg(feature = "rate-limit")]
use bytes::Bytes;
use prost::Message;

#[cfg(feature = "rate-limit")]
use super::Code;

/// As much of `google.rpc.Status` as holds the details.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

const RETRY_INFO: &str = "google.rpc.RetryInfo";

/// About 10,000 years, the maximum that duration.proto allows.
const MAX_SECONDS: u64 = 315_576_000_000;

/// The delay of the first valid `google.rpc.RetryInfo` in a serialised `google.rpc.Status`.
///
/// Negative and malformed durations, other details and undecodable bytes are passed over; zero
/// asks for nothing and is `None` (CONTRACT P7). Source:
/// [error_details.proto](https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto).
#[must_use]
pub fn retry_delay(details: &[u8]) -> Option<Duration> {
    RpcStatus::decode(details)
        .ok()?
        .details
        .iter()
        .filter(|any| any.type_url.rsplit('/').next() == Some(RETRY_INFO))
        .find_map(|any| valid_delay(&any.value))
        .filter(|delay| !delay.is_zero())
}

fn valid_delay(value: &[u8]) -> Option<Duration> {
    let delay = RetryInfo::decode(value).ok()?.retry_delay?;
    let seconds = u64::try_from(delay.seconds)
        .ok()
        .filter(|seconds| *seconds <= MAX_SECONDS)?;
    let nanos = u32::try_from(delay.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

/// `google.rpc.Status`, to be written; it is read more leniently.
#[cfg(feature = "rate-limit")]
#[derive(Clone, PartialEq, Message)]
struct WrittenStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// A serialised `google.rpc.Status` with a `google.rpc.RetryInfo` that says this delay: what
/// [`retry_delay`] reads.
///
/// A delay that duration.proto has no room for, 10,000 years, is its longest.
#[cfg(feature = "rate-limit")]
#[must_use]
pub fn retry_info_details(code: Code, message: &str, delay: Duration) -> Bytes {
    let delay = delay.min(Duration::from_secs(MAX_SECONDS));
    let retry_delay = Some(prost_types::Duration {
        seconds: delay.as_secs().cast_signed(),
        nanos: delay.subsec_nanos().cast_signed(),
    });
    let info = prost_types::Any {
        type_url: format!("type.googleapis.com/{RETRY_INFO}"),
        value: RetryInfo { retry_delay }.encode_to_vec(),
    };
    let status = WrittenStatus {
        code: i32::from(code as u8),
        message: message.to_owned(),
        details: vec![info],
    };
    status.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn info(seconds: i64, nanos: i32) -> prost_types::Any {
        let retry_delay = Some(prost_types::Duration { seconds, nanos });
        prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: RetryInfo { retry_delay }.encode_to_vec(),
        }
    }

    fn other() -> prost_types::Any {
        prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.DebugInfo".into(),
            value: vec![1, 2, 3],
        }
    }

    fn read(details: Vec<prost_types::Any>) -> Option<Duration> {
        retry_delay(&RpcStatus { details }.encode_to_vec())
    }

    // CONTRACT P7
    #[test]
    fn the_first_valid_one_wins_wherever_it_stands() {
        let expected = Some(Duration::from_millis(300));
        assert_eq!(
            read(vec![other(), info(0, 300_000_000), info(9, 0)]),
            expected
        );
        assert_eq!(
            read(vec![info(-1, 0), info(0, -5), info(0, 300_000_000)]),
            expected
        );
    }

    // CONTRACT P7
    #[test]
    fn negative_absurd_zero_and_absent_ones_are_ignored() {
        assert_eq!(read(vec![]), None);
        assert_eq!(read(vec![info(-3, 0)]), None);
        assert_eq!(read(vec![info(0, 0)]), None);
        assert_eq!(read(vec![info(i64::MAX, 0)]), None);
        assert_eq!(read(vec![info(1, i32::MAX)]), None);
    }

    proptest! {
        #[cfg(feature = "rate-limit")]
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

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = retry_delay(&bytes);
        }
    }
}
