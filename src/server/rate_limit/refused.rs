use http::{HeaderMap, HeaderValue};

use crate::grpc::refusal::retry_info_details;
use crate::grpc::{Code, PUSHBACK, Status};

use super::meter::{Refusal, whole_millis};

/// The status of a refused request.
pub(super) fn status(refusal: Refusal, hints: bool) -> Status {
    if !hints {
        return Status::new(Code::ResourceExhausted, "rate limit exceeded");
    }
    let Refusal { after, promised } = refusal;
    let message = if promised {
        format!("rate limit exceeded: retry in {after:?}, when a place is kept for this caller")
    } else {
        format!("rate limit exceeded: retry in {after:?}, when the next place is free")
    };
    let details = retry_info_details(Code::ResourceExhausted, &message, after);
    let mut metadata = HeaderMap::new();
    // A pushback is an int32: beyond 24 days only the details hold the delay (CONTRACT P1).
    if let Ok(millis) = i32::try_from(whole_millis(after).as_millis()) {
        metadata.insert(PUSHBACK, HeaderValue::from(millis));
    }
    Status::new(Code::ResourceExhausted, message)
        .with_details(details)
        .with_metadata(metadata)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::grpc::{Pushback, retry_delay};

    fn hints(after: Duration) -> (Option<Duration>, Option<Pushback>) {
        let promised = true;
        let status = status(Refusal { after, promised }, true);
        let pushback = Pushback::from_headers(status.metadata());
        (retry_delay(status.details()), pushback)
    }

    // CONTRACT P1, P7
    #[test]
    fn retry_info_is_exact_and_the_pushback_never_shorter() {
        for (nanos, millis) in [(1, 1), (1_000_000, 1), (1_000_001, 2), (1_999_999, 2)] {
            let after = Duration::from_nanos(nanos);
            let pushback = Pushback::After(Duration::from_millis(millis));
            assert_eq!(hints(after), (Some(after), Some(pushback)), "{nanos}");
        }
    }

    // CONTRACT P1
    #[test]
    fn what_no_pushback_can_say_is_said_by_retry_info_alone() {
        let longest = Duration::from_millis(2_147_483_647);
        assert_eq!(hints(longest).1, Some(Pushback::After(longest)));
        let longer = longest + Duration::from_nanos(1);
        assert_eq!(hints(longer), (Some(longer), None));
    }

    #[test]
    fn without_hints_nothing_but_the_code_is_said() {
        let after = Duration::from_millis(2);
        let promised = false;
        let status = status(Refusal { after, promised }, false);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.metadata().is_empty() && status.details().is_empty());
    }
}
