use std::time::Duration;

use prost::Message;

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
    // 315,576,000,000 s, about 10,000 years, is the maximum that duration.proto allows.
    let seconds = u64::try_from(delay.seconds)
        .ok()
        .filter(|seconds| *seconds <= 315_576_000_000)?;
    let nanos = u32::try_from(delay.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
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
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = retry_delay(&bytes);
        }
    }
}
