use std::time::Duration;

use prost::Message;

/// The fields of `google.rpc.Status` that hold the details.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) retry_delay: Option<prost_types::Duration>,
}

pub(super) const RETRY_INFO: &str = "google.rpc.RetryInfo";

/// About 10,000 years, the maximum that duration.proto allows.
pub(super) const MAX_SECONDS: u64 = 315_576_000_000;

/// The delay of the first valid `google.rpc.RetryInfo` in a serialised `google.rpc.Status`.
///
/// Negative and malformed durations, other details and undecodable bytes are skipped; a delay of
/// zero is `None` (CONTRACT P7). Source:
/// [error_details.proto][proto].
///
/// [proto]: https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
#[must_use]
pub fn retry_delay(details: &[u8]) -> Option<Duration> {
    find_detail(details, RETRY_INFO, valid_delay).filter(|delay| !delay.is_zero())
}

/// The first detail of this type that can be read.
pub(super) fn find_detail<T>(
    details: &[u8],
    name: &str,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Option<T> {
    let status = RpcStatus::decode(details).ok()?;
    let mut named = status
        .details
        .iter()
        .filter(|any| any.type_url.rsplit('/').next() == Some(name));
    named.find_map(|any| read(&any.value))
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
