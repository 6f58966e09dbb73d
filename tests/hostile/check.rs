//! What must be true of everything that is read.

use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::__internal;
use grpc_resilience::__internal::{
    DETAILS, MESSAGE, PUSHBACK, Pushback, STATUS, TIMEOUT, parse_timeout, remove_malformed_details,
    render_timeout, retry_delay,
};
use grpc_resilience::classify::{Hint, Progress, Reason, Verdict};
use grpc_resilience::grpc::{Code, Status};
use http::{HeaderMap, StatusCode};

use super::generate::Input;
use super::protobuf::{Asks, Details};
use super::reference;

/// What duration.proto allows.
const LONGEST: Duration = Duration::new(315_576_000_000, 999_999_999);

pub(super) fn all(input: &Input) {
    let Input {
        http,
        headers,
        details,
    } = input;
    retry_info(details);
    timeouts(headers);
    let pushback = pushback(headers);
    let status = status(headers);
    let answer = status.as_ref().map(|status| answer(status, pushback));
    head(*http, headers, answer);
    // Slow in a debug build, and it reads nothing.
    if details.bytes.len().is_multiple_of(8) {
        status.as_ref().inspect(|status| conversions(status));
    }
    malformed_details(headers.clone(), status.as_ref());
}

fn retry_info(details: &Details) {
    let read = retry_delay(&details.bytes);
    match details.asks {
        Asks::Nothing => assert_eq!(read, None),
        Asks::For(delay) => assert_eq!(read, Some(delay)),
        Asks::Broken => {}
    }
    assert!(read.is_none_or(|delay| !delay.is_zero() && delay <= LONGEST));
}

fn timeouts(headers: &HeaderMap) {
    for value in headers.get_all(TIMEOUT) {
        let read = parse_timeout(value.as_bytes()).ok();
        assert_eq!(read, reference::timeout(value.as_bytes()));
        let Some(read) = read else { continue };
        let again = parse_timeout(render_timeout(read).as_bytes()).unwrap();
        // Zero can't be sent.
        assert!(again <= read.max(Duration::from_nanos(1)));
    }
}

fn pushback(headers: &HeaderMap) -> Option<Pushback> {
    let read = Pushback::from_headers(headers);
    let values: Vec<_> = headers.get_all(PUSHBACK).iter().collect();
    let expected = match values[..] {
        [] => None,
        [one] => reference::pushback(one.as_bytes())
            .map(Pushback::After)
            .or(Some(Pushback::Stop)),
        _ => Some(Pushback::Stop),
    };
    assert_eq!(read, expected);
    read
}

fn status(headers: &HeaderMap) -> Option<Status> {
    let status = Status::from_headers(headers);
    let code = headers.get(STATUS).map(|it| reference::code(it.as_bytes()));
    assert_eq!(status.as_ref().map(Status::code), code);
    let status = status?;
    let details = headers
        .get(DETAILS)
        .and_then(|it| reference::decode(it.as_bytes()));
    assert_eq!(status.details(), &details.unwrap_or_default());
    for name in [STATUS, MESSAGE, DETAILS] {
        assert!(!status.metadata().contains_key(name));
    }
    Some(status)
}

fn conversions(status: &Status) {
    let tonics = tonic::Status::from(status);
    let back = Status::from(&tonics);
    assert_eq!(tonic::Code::from(status.code()), tonics.code());
    assert_eq!(
        (status.code(), status.message(), status.details()),
        (back.code(), back.message(), back.details())
    );
}

fn head(http: StatusCode, headers: &HeaderMap, answer: Option<Verdict>) {
    let head = __internal::head(http, headers);
    if let Some(answer) = answer {
        let verdict = head.map(|(verdict, _)| verdict);
        let mut codes = headers.get_all(STATUS).iter();
        let first = codes.next();
        let is_one_code = first.is_some_and(|it| reference::is_code(it.as_bytes()))
            && codes.all(|it| Some(it) == first);
        let mut expected = answer;
        if !is_one_code {
            expected.reason = Reason::InvalidStatus;
        }
        assert_eq!(verdict, Some(expected).filter(|it| it.code != Code::Ok));
        return;
    }
    let content_type = headers.get(http::header::CONTENT_TYPE);
    let is_grpc = content_type.is_none_or(|it| {
        let lower = it.as_bytes().to_ascii_lowercase();
        lower.starts_with(b"application/grpc")
    });
    assert_eq!(head.is_none(), http == StatusCode::OK && is_grpc);
    if let Some((verdict, status)) = head {
        assert_ne!(verdict.code, Code::Ok);
        assert_eq!(verdict.code, status.code());
        let reason = match http.as_u16() {
            413 | 431 => Reason::MessageTooLarge,
            _ => Reason::HttpStatus,
        };
        assert_eq!((verdict.reason, verdict.hint), (reason, None));
    }
}

fn answer(status: &Status, pushback: Option<Pushback>) -> Verdict {
    let verdict = __internal::answer(status);
    assert_eq!(verdict.progress, Progress::Answered);
    assert_eq!(verdict.code, status.code());
    let expected = match pushback {
        Some(Pushback::Stop) => Some(Hint::Stop),
        Some(Pushback::After(delay)) => Some(Hint::Exactly(delay)),
        None => retry_delay(status.details()).map(Hint::AtLeast),
    };
    assert_eq!(verdict.hint, expected);
    let is_too_large = verdict.reason == Reason::MessageTooLarge;
    // tonic says OUT_OF_RANGE.
    let may_be = matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange);
    assert!(!is_too_large || may_be);
    verdict
}

/// tonic's client panics on malformed details: after ours took them out, it must not.
fn malformed_details(mut headers: HeaderMap, status: Option<&Status>) {
    let all_decode = |headers: &HeaderMap| {
        let mut values = headers.get_all(DETAILS).iter();
        values.all(|value| reference::decode(value.as_bytes()).is_some())
    };
    let were_sound = all_decode(&headers);
    let (all, ours) = (headers.len(), headers.get_all(DETAILS).iter().count());
    assert_eq!(remove_malformed_details(&mut headers), !were_sound);
    // All of them or none, and nothing else.
    let taken = if were_sound { 0 } else { ours };
    assert_eq!(headers.len(), all - taken);
    assert!(were_sound || !headers.contains_key(DETAILS));
    let tonics = tonic::Status::from_header_map(&headers);
    assert_eq!(tonics.is_some(), status.is_some());
    let (Some(tonics), Some(ours)) = (tonics, status) else {
        return;
    };
    // tonic gives a message up that is not UTF-8, and the code with it; ours is lenient.
    if !ours.message().contains('\u{fffd}') {
        assert_eq!(tonics.code(), ours.code().into());
        assert_eq!(tonics.message(), ours.message());
    }
    if were_sound {
        assert_eq!(&Bytes::copy_from_slice(tonics.details()), ours.details());
    }
}
