//! The body of a scripted stream.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use tonic::Status;

/// Data frames, then trailers; without trailers, then nothing for ever.
#[derive(Debug)]
pub(crate) struct Frames {
    frames: VecDeque<Bytes>,
    end: FramesEnd,
}

#[derive(Debug)]
enum FramesEnd {
    Trailers(HeaderMap),
    Reached,
    Never,
}

impl Frames {
    pub(crate) fn new(frames: Vec<Bytes>, trailers: Option<HeaderMap>) -> Self {
        Self {
            frames: frames.into(),
            end: trailers.map_or(FramesEnd::Never, FramesEnd::Trailers),
        }
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(data) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match mem::replace(&mut self.end, FramesEnd::Reached) {
            FramesEnd::Trailers(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            FramesEnd::Reached => Poll::Ready(None),
            FramesEnd::Never => {
                self.end = FramesEnd::Never;
                Poll::Pending
            }
        }
    }
}
