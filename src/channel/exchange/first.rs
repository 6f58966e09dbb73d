use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

/// The most that goes with the head without h2's leave: what the peer's first window holds.
const MOST: usize = 64 << 10;

/// What of a body is there when its head is sent.
pub(crate) enum Look<E> {
    /// There is no body.
    Empty,
    /// All of it, in one frame.
    Whole(Bytes),
    /// Some of it, and the rest has to be waited for; or more than goes in one write.
    Part {
        first: Option<Bytes>,
        next: Option<Result<Frame<Bytes>, E>>,
    },
}

/// Looks at a body, and ahead to see its end: one frame and `END_STREAM` leave with the head then
/// (CONTRACT C9).
pub(crate) fn look<B>(mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Look<B::Error>
where
    B: Body<Data = Bytes>,
{
    if body.is_end_stream() {
        return Look::Empty;
    }
    let first = match body.as_mut().poll_frame(cx) {
        Poll::Ready(None) => return Look::Empty,
        Poll::Pending => return part(None, None),
        Poll::Ready(Some(Err(error))) => return part(None, Some(Err(error))),
        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return part(None, Some(Ok(trailers))),
        },
    };
    if first.len() > MOST {
        return part(Some(first), None);
    }
    if body.is_end_stream() {
        return Look::Whole(first);
    }
    match body.poll_frame(cx) {
        Poll::Ready(None) => Look::Whole(first),
        Poll::Ready(Some(next)) => part(Some(first), Some(next)),
        Poll::Pending => part(Some(first), None),
    }
}

fn part<E>(first: Option<Bytes>, next: Option<Result<Frame<Bytes>, E>>) -> Look<E> {
    Look::Part { first, next }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::task::Waker;

    use super::*;

    /// Frames, and `None` where the next one is not there yet.
    struct Frames(VecDeque<Option<Bytes>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            }
        }
    }

    fn seen(frames: impl Into<VecDeque<Option<Bytes>>>) -> Look<Infallible> {
        let mut body = Frames(frames.into());
        look(Pin::new(&mut body), &mut Context::from_waker(Waker::noop()))
    }

    // CONTRACT C9
    #[test]
    fn one_frame_and_the_end_are_seen_together() {
        let (a, b) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
        assert!(matches!(seen([]), Look::Empty));
        assert!(matches!(seen([Some(a.clone())]), Look::Whole(data) if data == a));
        let two = seen([Some(a.clone()), Some(b)]);
        assert!(matches!(
            two,
            Look::Part {
                first: Some(_),
                next: Some(Ok(_))
            }
        ));
        let later = seen([Some(a), None]);
        assert!(matches!(
            later,
            Look::Part {
                first: Some(_),
                next: None
            }
        ));
        let nothing = seen([None]);
        assert!(matches!(
            nothing,
            Look::Part {
                first: None,
                next: None
            }
        ));
    }

    // CONTRACT C9
    #[test]
    fn a_frame_beyond_the_first_window_waits_for_leave() {
        let most = Bytes::from(vec![0; MOST]);
        assert!(matches!(seen([Some(most)]), Look::Whole(_)));
        let more = Bytes::from(vec![0; MOST + 1]);
        assert!(matches!(seen([Some(more)]), Look::Part { .. }));
    }
}
