use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use super::waker::CAPTURING;
use super::{Captured, Replay, RequestBody};

/// What [`capture`] made of a body.
#[derive(Debug)]
pub enum Capture<B> {
    /// The request was complete and within the limit: it can be sent any number of times.
    Whole(Captured),
    /// More may come, or it is over the limit: it can be sent once, and nothing of it is lost.
    Once(B),
}

/// Captures a body that is complete without waiting and holds at most `limit` bytes.
///
/// A unary request of tonic's is one data frame that is ready at once, and then its end; so two
/// polls tell it from a stream, without ever waiting for a frame that may not come. The polls
/// register no waker: whoever sends a live body polls it again and registers its own.
pub fn capture<B: RequestBody>(mut body: B, limit: usize) -> Capture<B> {
    let size_hint = body.size_hint();
    if body.is_end_stream() {
        return Capture::Whole(Captured::new(None, true, size_hint));
    }
    let mut cx = Context::from_waker(&CAPTURING);
    let first = match Pin::new(&mut body).poll_frame(&mut cx) {
        Poll::Pending => return Capture::Once(body),
        Poll::Ready(None) => return Capture::Whole(Captured::new(None, false, size_hint)),
        Poll::Ready(Some(first)) => first,
    };
    let replayable = matches!(&first, Ok(frame) if data_within(frame, limit));
    if !replayable {
        return Capture::Once(B::from_replay(Replay::live(first, None, body, size_hint)));
    }
    let second = match Pin::new(&mut body).poll_frame(&mut cx) {
        Poll::Ready(None) => {
            let data = first.ok().and_then(|frame| frame.into_data().ok());
            return Capture::Whole(Captured::new(data, false, size_hint));
        }
        Poll::Ready(second) => second,
        Poll::Pending => None,
    };
    Capture::Once(B::from_replay(Replay::live(first, second, body, size_hint)))
}

fn data_within(frame: &Frame<Bytes>, limit: usize) -> bool {
    frame.data_ref().is_some_and(|data| data.len() <= limit)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body::Body;
    use http_body_util::combinators::UnsyncBoxBody;
    use http_body_util::{BodyExt as _, Empty, StreamBody};

    use super::*;

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

    #[tokio::test]
    async fn one_ready_frame_is_captured_and_replayed_as_often_as_asked() {
        let Capture::Whole(captured) = capture(stream(&[Some("one")]), 3) else {
            panic!("not captured")
        };
        assert_eq!(captured.len(), 3);
        for _ in 0..3 {
            assert_eq!(frames(captured.replay::<Boxed>()).await, ["one"]);
        }
    }

    #[tokio::test]
    async fn a_live_stream_keeps_every_frame_in_order() {
        for polls in [
            &[None, Some("a"), Some("b")][..],
            &[Some("a"), None, Some("b")],
            &[Some("a"), Some("b")],
        ] {
            let Capture::Once(body) = capture(stream(polls), 100) else {
                panic!("captured {polls:?}")
            };
            assert_eq!(frames(body).await, ["a", "b"], "{polls:?}");
        }
    }

    // CONTRACT R8
    #[tokio::test]
    async fn a_request_over_the_limit_is_sent_once_and_whole() {
        let Capture::Once(body) = capture(stream(&[Some("four")]), 3) else {
            panic!("captured over the limit")
        };
        assert_eq!(frames(body).await, ["four"]);
    }

    // CONTRACT B3, PEER-CASES LK-empty-body, LK-size-hint
    #[test]
    fn end_and_size_of_a_replay_are_those_of_the_original() {
        let Capture::Whole(ended) = capture(Empty::new().boxed_unsync() as Boxed, 0) else {
            panic!("not captured")
        };
        assert!(ended.replay::<Boxed>().is_end_stream());

        let Capture::Whole(silent) = capture(stream(&[]), 0) else {
            panic!("not captured")
        };
        let replay = silent.replay::<Boxed>();
        assert!(!replay.is_end_stream());
        assert_eq!(replay.size_hint().exact(), None);

        let Capture::Whole(one) = capture(stream(&[Some("one")]), 3) else {
            panic!("not captured")
        };
        let replay = one.replay::<Boxed>();
        assert!(!replay.is_end_stream());
        assert_eq!(replay.size_hint().exact(), None);
    }
}
