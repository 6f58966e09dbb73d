use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use std::convert::Infallible;

use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};

use super::*;

#[path = "link_tests.rs"]
mod link_tests;

type Boxed = UnsyncBoxBody<Bytes, Infallible>;

/// A stream of data frames, one entry a poll; `None` is a poll that finds nothing yet.
fn stream(polls: &'static [Option<&'static str>]) -> Boxed {
    let mut polls = polls.iter().copied();
    let stream = tokio_stream::StreamExt::map(PollSequence(move || polls.next()), |data| {
        Ok(Frame::data(Bytes::from_static(data.as_bytes())))
    });
    StreamBody::new(stream).boxed_unsync()
}

struct PollSequence<F>(F);

impl<F: FnMut() -> Option<Option<&'static str>> + Unpin> tokio_stream::Stream for PollSequence<F> {
    type Item = &'static str;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<&'static str>> {
        match (self.0)() {
            Some(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(frame) => Poll::Ready(frame),
            None => Poll::Ready(None),
        }
    }
}

async fn frames(body: impl Body<Data = Bytes, Error = Infallible> + Unpin) -> Vec<Bytes> {
    let mut body = body;
    let mut frames = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        frames.push(frame.into_data().unwrap());
    }
    frames
}

fn record(polls: &'static [Option<&'static str>], limit: usize) -> Recording<Boxed> {
    Recording::new(stream(polls), limit, &ReplayBuffer::unlimited())
}

#[tokio::test]
async fn one_ready_frame_is_captured_and_replayed_as_often_as_asked() {
    let buffer = ReplayBuffer::unlimited();
    let mut recording = Recording::new(stream(&[Some("one")]), 3, &buffer);
    assert_eq!(buffer.held(), 3);
    for _ in 0..3 {
        assert_eq!(frames(recording.attempt()).await, ["one"]);
    }
    drop(recording);
    assert_eq!(buffer.held(), 0);
}

// CONTRACT R9, PEER-CASES LK-one-chunk, LK-several-chunks, LK-multiple-replays
#[tokio::test]
async fn a_live_stream_is_replayed_in_order_as_often_as_asked() {
    for polls in [
        &[None, Some("a"), Some("b")][..],
        &[Some("a"), None, Some("b")],
        &[Some("a"), Some("b")],
    ] {
        let mut recording = record(polls, 100);
        for _ in 0..3 {
            assert_eq!(frames(recording.attempt()).await, ["a", "b"], "{polls:?}");
        }
        assert_eq!(recording.lost(), None);
    }
}

// PEER-CASES LK-incomplete-replays, LK-15649, LK-eos-only-when-fully-replayed
#[tokio::test]
async fn attempts_that_read_to_different_depths_leave_the_next_the_whole_request() {
    let all = ["a", "b", "c"];
    let mut recording = record(&[Some("a"), Some("b"), Some("c")], 100);
    for depth in [0, 2, 1, 0, 3, 2] {
        let mut attempt = recording.attempt();
        for expected in &all[..depth] {
            let frame = attempt.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), *expected);
            assert!(!attempt.is_end_stream() || *expected == "c");
        }
        recording.end_attempt();
    }
    let mut last = recording.attempt();
    assert_eq!(frames(&mut last).await, all);
    assert!(last.is_end_stream());
}

// CONTRACT R8, PEER-CASES LK-too-big
#[tokio::test]
async fn a_request_over_the_limit_is_sent_once_and_whole() {
    for polls in [&[Some("four")][..], &[Some("tw"), Some("oo")]] {
        let mut recording = record(polls, 3);
        assert_eq!(recording.lost(), None);
        assert_eq!(
            frames(recording.attempt()).await.concat(),
            polls
                .iter()
                .flatten()
                .copied()
                .collect::<String>()
                .as_bytes()
        );
        assert_eq!(recording.lost(), Some(NotReplayable::TooLarge));
    }
}

// CONTRACT X1
#[tokio::test]
async fn a_request_over_the_limit_that_nobody_read_can_be_sent_again() {
    let mut recording = record(&[Some("four")], 3);
    drop(recording.attempt());
    recording.end_attempt();
    assert_eq!(recording.lost(), None);
    assert_eq!(frames(recording.attempt()).await, ["four"]);
}

// CONTRACT B3, PEER-CASES LK-empty-body, LK-size-hint
#[test]
fn end_and_size_of_a_replay_are_those_of_the_original() {
    let unlimited = ReplayBuffer::unlimited();
    let empty: Boxed = Empty::new().boxed_unsync();
    assert!(
        Recording::new(empty, 0, &unlimited)
            .attempt()
            .is_end_stream()
    );

    let silent = record(&[], 0).attempt();
    assert!(!silent.is_end_stream());
    assert_eq!(silent.size_hint().exact(), None);

    let one = record(&[Some("one")], 3).attempt();
    assert!(!one.is_end_stream());
    assert_eq!(one.size_hint().exact(), None);
}

// PEER-CASES JAVA-operations-while-draining
#[tokio::test]
async fn the_former_attempt_reads_nothing_once_the_next_began() {
    let mut recording = record(&[Some("a"), Some("b"), Some("c")], 100);
    let mut former = recording.attempt();
    assert_eq!(
        former.frame().await.unwrap().unwrap().into_data().unwrap(),
        "a"
    );
    let next = recording.attempt();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    // These bodies have no error for a cancelled request.
    assert!(Pin::new(&mut former).poll_frame(&mut cx).is_pending());
    assert!(!former.is_end_stream());
    assert_eq!(frames(next).await, ["a", "b", "c"]);
}

// CONTRACT R7
#[tokio::test]
async fn a_committed_stream_goes_on_and_keeps_nothing() {
    let buffer = ReplayBuffer::unlimited();
    let polls = &[Some("a"), Some("b"), None, Some("c")];
    let mut recording = Recording::new(stream(polls), 100, &buffer);
    let mut attempt = recording.attempt();
    for expected in ["a", "b"] {
        let frame = attempt.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), expected);
    }
    // Two frames of one byte.
    assert_eq!(buffer.held(), 2 * (1 + buffer::FRAME_COST));
    recording.commit();
    assert_eq!(buffer.held(), 0);
    assert_eq!(frames(attempt).await, ["c"]);
    assert_eq!(buffer.held(), 0);
}

// CONTRACT R7, R9
#[tokio::test]
async fn a_replay_that_is_committed_halfway_is_read_to_its_end() {
    let buffer = ReplayBuffer::unlimited();
    let polls = &[Some("a"), Some("b"), Some("c")];
    let mut recording = Recording::new(stream(polls), 100, &buffer);
    assert_eq!(frames(recording.attempt()).await.len(), 3);
    let mut second = recording.attempt();
    assert_eq!(
        second.frame().await.unwrap().unwrap().into_data().unwrap(),
        "a"
    );
    recording.commit();
    // Two frames of one byte.
    assert_eq!(buffer.held(), 2 * (1 + buffer::FRAME_COST));
    assert_eq!(frames(second).await, ["b", "c"]);
    assert_eq!(buffer.held(), 0);
}

type Slot = Arc<Mutex<Option<Recording<Boxed>>>>;

/// When a caller's stream drops its own call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Drops {
    AsItIsPolled,
    AsItIsDropped,
}

/// Pending once, then one frame, then its end.
struct Selfish {
    call: Slot,
    drops: Drops,
    polls: usize,
}

impl Selfish {
    fn drop_call(&self) {
        let call = self.call.lock().unwrap().take();
        drop(call);
    }
}

impl Body for Selfish {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.polls += 1;
        match self.polls {
            1 => Poll::Pending,
            2 => {
                if self.drops == Drops::AsItIsPolled {
                    self.drop_call();
                }
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
            }
            _ => Poll::Ready(None),
        }
    }
}

impl Drop for Selfish {
    fn drop(&mut self) {
        if self.drops == Drops::AsItIsDropped {
            self.drop_call();
        }
    }
}

// CONTRACT B4, B5
#[test]
fn a_stream_that_drops_its_own_call_does_not_deadlock() {
    for drops in [Drops::AsItIsPolled, Drops::AsItIsDropped] {
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || {
            let call = Slot::default();
            let polls = 0;
            let body = Selfish {
                call: Arc::clone(&call),
                drops,
                polls,
            };
            let buffer = ReplayBuffer::unlimited();
            let mut recording = Recording::new(body.boxed_unsync(), 10, &buffer);
            let mut attempt = recording.attempt();
            *call.lock().unwrap() = Some(recording);
            let mut cx = Context::from_waker(std::task::Waker::noop());
            for _ in 0..2 {
                // A request whose call is over has no frame, and these bodies have no error for it.
                let polled = Pin::new(&mut attempt).poll_frame(&mut cx);
                assert_eq!(polled.is_ready(), drops == Drops::AsItIsDropped);
            }
            done.send(()).unwrap();
        });
        let wait_mode = std::time::Duration::from_secs(10);
        assert!(is_done.recv_timeout(wait_mode).is_ok(), "{drops:?}");
    }
}

// CONTRACT R7, B5
#[tokio::test]
async fn a_body_of_a_former_attempt_that_lingers_keeps_nothing_alive() {
    let alive = Arc::new(());
    let token = Arc::clone(&alive);
    let mut polls = 0;
    let sequence = PollSequence(move || {
        polls += Arc::strong_count(&token);
        Some((polls % 4 == 2).then_some("abc"))
    });
    let frames = tokio_stream::StreamExt::map(sequence, |data| {
        Ok(Frame::data(Bytes::from_static(data.as_bytes())))
    });
    let buffer = ReplayBuffer::unlimited();
    let body: Boxed = StreamBody::new(frames).boxed_unsync();
    let mut recording = Recording::new(body, 100, &buffer);
    let mut stale = recording.attempt();
    stale.frame().await.unwrap().unwrap();
    recording.end_attempt();
    let current = recording.attempt();
    drop(recording);
    drop(current);
    assert_eq!(buffer.held(), 0);
    assert_eq!(Arc::strong_count(&alive), 1);
    drop(stale);
}

#[tokio::test]
async fn a_whole_request_that_waits_lets_go_of_the_buffer_it_was_cut_from() {
    let encoder = Bytes::from(vec![7; 8_192]);
    let stream = tokio_stream::iter([Ok(Frame::data(encoder.slice(..10)))]);
    let body: Boxed = StreamBody::new(stream).boxed_unsync();
    let mut recording = Recording::new(body, 100, &ReplayBuffer::unlimited());
    let mut places = Vec::new();
    for _ in 0..3 {
        let read = frames(recording.attempt()).await.concat();
        assert_eq!(read, [7; 10]);
        let frame = recording.attempt().frame().await.unwrap().unwrap();
        places.push(frame.into_data().unwrap().as_ptr());
        recording.end_attempt();
    }
    assert_eq!(places[0], encoder.as_ptr());
    assert_ne!(places[1], encoder.as_ptr());
    assert_eq!(places[1], places[2]);
}
