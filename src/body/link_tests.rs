//! What an attempt knows about its request, and how the request ends with it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::body::*;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A body type with an error for cancelled requests.
type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A request that is complete.
fn whole() -> Body {
    http_body_util::Full::from("whole")
        .map_err(BoxError::from)
        .boxed_unsync()
}

/// A request whose caller has sent one frame.
fn live() -> (Body, Caller) {
    let (sender, frames) = unbounded_channel();
    sender.send(frame("live")).unwrap();
    let body = StreamBody::new(UnboundedReceiverStream::new(frames));
    (body.boxed_unsync(), sender)
}

type Caller = UnboundedSender<Message>;
type Message = Result<Frame<Bytes>, BoxError>;

/// Both kinds of request, with the caller of the live one.
fn both() -> [(Body, Option<Caller>); 2] {
    let (body, caller) = live();
    [(whole(), None), (body, Some(caller))]
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "an item of a stream that may fail"
)]
fn frame(data: &'static str) -> Message {
    Ok(Frame::data(Bytes::from_static(data.as_bytes())))
}

fn record(body: Body) -> Recording<Body> {
    Recording::new(body, 1_024, &ReplayBuffer::unlimited())
}

/// Counts how often the task of a transport is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls as a transport does: a frame, `None` at the end, or a failure.
fn poll(body: &mut Body, waker: &Waker) -> Poll<Result<Option<Bytes>, ()>> {
    let polled = Pin::new(body).poll_frame(&mut Context::from_waker(waker));
    polled.map(|read| match read {
        Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap())),
        Some(Err(_)) => Err(()),
        None => Ok(None),
    })
}

fn read(body: &mut Body) -> Poll<Result<Option<Bytes>, ()>> {
    poll(body, Waker::noop())
}

const CUT: Poll<Result<Option<Bytes>, ()>> = Poll::Ready(Err(()));

// CONTRACT R13
#[test]
fn a_whole_request_that_was_not_read_fails_once_its_call_is_over() {
    let mut recording = record(whole());
    let mut attempt = recording.attempt();
    drop(recording);
    assert!(!attempt.is_end_stream());
    assert_eq!(read(&mut attempt), CUT);
    assert_eq!(
        read(&mut attempt),
        CUT,
        "it never ends as if it were complete"
    );
}

// CONTRACT R13
#[test]
fn a_whole_request_of_an_attempt_that_ended_fails_and_the_next_attempt_reads_all() {
    let mut recording = record(whole());
    let mut first = recording.attempt();
    recording.end_attempt();
    let mut second = recording.attempt();
    assert_eq!(read(&mut first), CUT);
    assert_eq!(read(&mut second), Poll::Ready(Ok(Some("whole".into()))));
    assert_eq!(read(&mut second), Poll::Ready(Ok(None)));
}

// CONTRACT R13
#[test]
fn a_live_request_fails_once_its_call_is_over_and_woken_the_transport() {
    let (body, sender) = live();
    let mut recording = record(body);
    let mut attempt = recording.attempt();
    let woken = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(poll(&mut attempt, &waker).is_ready());
    assert!(poll(&mut attempt, &waker).is_pending());
    drop(recording);
    assert!(woken.0.load(Ordering::SeqCst) > 0);
    assert_eq!(poll(&mut attempt, &waker), CUT);
    let more = sender.send(frame("more"));
    assert!(
        more.is_err(),
        "the caller's stream is dropped with its call"
    );
}

// CONTRACT R7
#[test]
fn a_request_whose_answer_has_begun_goes_on_until_the_call_is_ended() {
    let (body, sender) = live();
    let mut recording = record(body);
    let mut attempt = recording.attempt();
    let request = recording.answered().unwrap();
    drop(recording);
    assert_eq!(read(&mut attempt), Poll::Ready(Ok(Some("live".into()))));
    sender.send(frame("more")).unwrap();
    assert_eq!(read(&mut attempt), Poll::Ready(Ok(Some("more".into()))));
    request.end();
    assert_eq!(read(&mut attempt), CUT);
}

// CONTRACT R13
#[test]
fn a_guarded_body_that_waits_for_a_frame_is_woken_and_fails() {
    let (mut body, _sender) = live();
    let guard = guard(&mut body);
    let woken = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(poll(&mut body, &waker).is_ready());
    assert!(poll(&mut body, &waker).is_pending());
    drop(guard);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert_eq!(poll(&mut body, &waker), CUT);
}

// CONTRACT I4c
#[test]
fn an_attempt_knows_whether_its_request_was_read() {
    for (request, _caller) in both() {
        let mut recording = record(request);
        drop(recording.attempt());
        recording.end_attempt();
        assert!(!recording.was_read());
        let mut attempt = recording.attempt();
        assert!(read(&mut attempt).is_ready());
        recording.end_attempt();
        assert!(recording.was_read());
        let _unread = recording.attempt();
        recording.end_attempt();
        assert!(!recording.was_read(), "the attempt before does not count");
    }
}

// CONTRACT I4c
#[test]
fn a_layer_that_keeps_the_request_in_turn_is_no_reader_but_what_it_sends_is() {
    for (request, _caller) in both() {
        let mut outer = record(request);
        let mut inner = record(outer.attempt());
        let mut sent = inner.attempt();
        assert!(read(&mut sent).is_ready());
        inner.end_attempt();
        outer.end_attempt();
        assert!(inner.was_read() && outer.was_read());
    }
    for (request, _caller) in both() {
        let mut outer = record(request);
        let mut inner = record(outer.attempt());
        drop(inner.attempt());
        inner.end_attempt();
        outer.end_attempt();
        assert!(!inner.was_read() && !outer.was_read());
    }
}

// CONTRACT I4c
#[test]
fn every_layer_hears_of_a_read_through_bodies_that_wrap_others() {
    let mut outer = record(whole());
    let mut wrapped = outer.attempt();
    let _guard = guard(&mut wrapped);
    let mut middle = record(wrapped);
    let mut inner = record(middle.attempt());
    let mut sent = inner.attempt();
    assert!(read(&mut sent).is_ready());
    for recording in [&mut outer, &mut middle, &mut inner] {
        recording.end_attempt();
        assert!(recording.was_read());
    }
}

// CONTRACT I4c
#[test]
fn a_live_request_that_was_looked_at_tells_the_layers_above_when_it_is_read() {
    let (request, _caller) = live();
    let mut outer = record(request);
    let mut body = outer.attempt();
    assert!(Recording::keep_whole(&mut body, 1_024, &ReplayBuffer::unlimited()).is_none());
    assert_eq!(read(&mut body), Poll::Ready(Ok(Some("live".into()))));
    outer.end_attempt();
    assert!(outer.was_read());
}

// CONTRACT I4c, R13
#[test]
fn a_request_whose_outer_attempt_is_over_is_not_begun() {
    let mut outer = record(whole());
    let mut inner = record(outer.attempt());
    let mut sent = inner.attempt();
    outer.end_attempt();
    assert_eq!(read(&mut sent), CUT);
    assert!(!outer.was_read());
}

// CONTRACT B5
#[test]
fn a_request_goes_on_when_the_caller_drops_the_answer() {
    let (body, caller) = live();
    let mut recording = record(body);
    let mut attempt = recording.attempt();
    drop(recording.answered());
    drop(recording);
    assert_eq!(read(&mut attempt), Poll::Ready(Ok(Some("live".into()))));
    drop(caller);
    assert_eq!(read(&mut attempt), Poll::Ready(Ok(None)));
}

// CONTRACT R13
#[test]
fn a_request_that_was_kept_anew_ends_with_the_one_it_replaced() {
    let (mut body, _caller) = live();
    let outer = guard(&mut body).answered();
    let mut inner = record(body);
    let mut sent = inner.attempt();
    drop(inner.answered());
    let woken = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(poll(&mut sent, &waker).is_ready());
    assert!(poll(&mut sent, &waker).is_pending());
    outer.end();
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert_eq!(poll(&mut sent, &waker), CUT);
}

// CONTRACT R7
#[tokio::test]
async fn a_recording_that_is_committed_ends_nothing() {
    let mut recording = record(whole());
    let attempt = recording.attempt();
    recording.commit();
    assert_eq!(attempt.collect().await.unwrap().to_bytes(), "whole");
}
