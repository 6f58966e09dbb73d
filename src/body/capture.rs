use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::buffer::Share;
use super::captured::Captured;
use super::live::Live;
use super::waker::CAPTURING;

/// What [`capture`] made of a body.
pub(super) enum Capture<B: Body<Data = Bytes>> {
    /// The request was complete, and there was room for it.
    Whole(Captured),
    /// More may come, or there was no room; nothing of it is lost.
    Live(Live<B>),
}

/// Captures a body that is complete without waiting and for which the share has room.
///
/// A unary request of tonic's is one data frame that is ready at once, and then its end; so two
/// polls tell it from a stream, without ever waiting for a frame that may not come. The polls
/// register no waker: whoever sends a live body polls it again and registers its own.
pub(super) fn capture<B>(mut body: B, share: &mut Share) -> Capture<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    let size_hint = body.size_hint();
    if body.is_end_stream() {
        return Capture::Whole(Captured::new(None, true, size_hint));
    }
    let mut cx = Context::from_waker(&CAPTURING);
    let first = match Pin::new(&mut body).poll_frame(&mut cx) {
        Poll::Pending => return Capture::Live(Live::untouched(body)),
        Poll::Ready(None) => return Capture::Whole(Captured::new(None, false, size_hint)),
        Poll::Ready(Some(first)) => first,
    };
    let data = first.as_ref().ok().and_then(Frame::data_ref).cloned();
    let Some(data) = data.filter(|data| share.grow(data.len()).is_ok()) else {
        return Capture::Live(Live::begun(first, None, body, size_hint));
    };
    let second = match Pin::new(&mut body).poll_frame(&mut cx) {
        Poll::Ready(None) => {
            return Capture::Whole(Captured::new(Some(data), false, size_hint));
        }
        Poll::Ready(second) => second,
        Poll::Pending => None,
    };
    share.shrink(data.len());
    Capture::Live(Live::begun(first, second, body, size_hint))
}
