use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::buffer::Room;
use super::captured::Captured;
use super::here::Capturing;
use super::link::RequestLink;
use super::live::{Read, ReadAhead};
use super::waker::CAPTURING;

/// The result of a capture.
pub(super) enum Capture<B: Body<Data = Bytes>> {
    /// The request was complete, and there was room for it.
    Whole(Captured),
    /// More frames may come, or there was no room. Contains the frames that were read.
    Begun(ReadAhead<B>),
}

/// Calls [`look`] and returns the body's link, which is notified when the captured request is read.
#[inline]
pub(super) fn capture<B>(body: &mut B, room: &mut impl Room) -> (Capture<B>, Option<RequestLink>)
where
    B: Body<Data = Bytes> + Unpin,
{
    let capturing = Capturing::begin();
    // A capture that did not finish may have left a link.
    drop(RequestLink::take_captured());
    let captured = look(body, room);
    drop(capturing);
    (captured, RequestLink::take_captured())
}

/// Captures a body that is complete without waiting and for which there is room.
///
/// A unary request of tonic's is one data frame that is ready at once, followed by its end. So two
/// polls distinguish it from a stream, without waiting for a frame that may never come. The polls
/// register no waker: the sender of a live body polls it again and registers its own.
#[inline]
fn look<B>(body: &mut B, room: &mut impl Room) -> Capture<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    let size_hint = body.size_hint();
    if body.is_end_stream() {
        return Capture::Whole(Captured::new(None, true, size_hint));
    }
    let mut cx = Context::from_waker(&CAPTURING);
    let first = match Pin::new(&mut *body).poll_frame(&mut cx) {
        Poll::Pending => return Capture::Begun(ReadAhead::nothing(size_hint)),
        Poll::Ready(None) => return Capture::Whole(Captured::new(None, false, size_hint)),
        Poll::Ready(Some(first)) => first,
    };
    let data = match first.map(Frame::into_data) {
        Ok(Ok(data)) => data,
        Ok(Err(frame)) => return Capture::Begun(ReadAhead::new(Ok(frame), None, size_hint)),
        Err(error) => return Capture::Begun(ReadAhead::new(Err(error), None, size_hint)),
    };
    let size = data.len();
    if !room.take(size) {
        let read = ReadAhead::new(Ok(Frame::data(data)), None, size_hint);
        return Capture::Begun(read.without_room());
    }
    let second: Option<Read<B>> = match Pin::new(body).poll_frame(&mut cx) {
        Poll::Ready(None) => {
            return Capture::Whole(Captured::new(Some(data), false, size_hint));
        }
        Poll::Ready(second) => second,
        Poll::Pending => None,
    };
    room.give_back(size);
    Capture::Begun(ReadAhead::new(Ok(Frame::data(data)), second, size_hint))
}
