//! The three places of a status.

use std::time::Duration;

use grpc_resilience::classify::{Hint, Progress, Reason};
use grpc_resilience::grpc::Code;
use peer::{Headers, Step, Stream};

use super::{Seen, head_then};

/// `google.rpc.Status { details: [RetryInfo { retry_delay: 3 s }] }`
const THREE_SECONDS: &str = "GjAKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SBAoCCAM";

pub(super) fn trailers_only() -> Stream {
    let head = Headers::trailers_only(14)
        .message("not%20now")
        .with("grpc-status-details-bin", THREE_SECONDS)
        .with("grpc-retry-pushback-ms", "25");
    Stream::from([Step::AwaitRequest, Step::Headers(head)])
}

pub(super) fn in_trailers(message: Option<&[u8]>) -> Stream {
    let trailers = Headers::trailers(14)
        .message("not%20now")
        .with("grpc-status-details-bin", THREE_SECONDS);
    head_then(message, [Step::Headers(trailers)])
}

// FIELD 3, CONTRACT P1, P9
#[transports::test]
async fn a_trailers_only_answer_has_all_of_it_in_the_head_and_ends_there() {
    let seen = Seen::of(trailers_only()).await;
    let (verdict, status) = seen.in_head().unwrap();
    assert_eq!(verdict.progress, Progress::Answered);
    assert_eq!(verdict.reason, Reason::Answered);
    assert_eq!(
        (verdict.code, status.message()),
        (Code::Unavailable, "not now")
    );
    let pushback = Duration::from_millis(25);
    assert_eq!(verdict.hint, Some(Hint::Exactly(pushback)));
    assert!(!status.details().is_empty());
    assert!(seen.is_end_stream);
    assert!(seen.data.is_empty() && seen.trailers.is_none() && seen.failed.is_none());
}

// FIELD 3
#[transports::test]
async fn an_ok_in_the_head_is_no_failure_and_ends_there() {
    let seen = Seen::of(Stream::status(0, "")).await;
    assert!(seen.in_head().is_none());
    assert!(seen.is_end_stream && seen.trailers.is_none());
}

// FIELD 3, CONTRACT P7
#[transports::test]
async fn after_a_head_the_status_is_in_the_trailers_with_a_message_before_it_or_without() {
    for (message, data) in [(None, &b""[..]), (Some(&b"hi"[..]), b"\0\0\0\0\x02hi")] {
        let seen = Seen::of(in_trailers(message)).await;
        assert!(seen.in_head().is_none(), "left to the trailers");
        assert!(!seen.is_end_stream);
        assert_eq!(seen.data, data);
        let (verdict, status) = seen.in_trailers().unwrap();
        assert_eq!(verdict.progress, Progress::Answered);
        assert_eq!(
            (verdict.code, status.message()),
            (Code::Unavailable, "not now")
        );
        let asked = Duration::from_secs(3);
        assert_eq!(verdict.hint, Some(Hint::AtLeast(asked)));
    }
}

// FIELD 3
#[transports::test]
async fn an_ok_after_a_message_is_in_the_trailers() {
    let seen = Seen::of(Stream::ok(b"hi")).await;
    assert!(seen.in_head().is_none() && !seen.is_end_stream);
    assert_eq!(seen.in_trailers().unwrap().0.code, Code::Ok);
}
