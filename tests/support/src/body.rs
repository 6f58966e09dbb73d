//! Bodies that are watched as they go by: the request's, and the answer's.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use tonic::{Status, body::Body};

use crate::{
    kind::Reading,
    log::{Entry, Reader},
    wire,
};

/// A request's body whose bytes are written down as they are read, once each, whoever reads them.
#[derive(Debug)]
pub(crate) struct RequestBody {
    inner: Body,
    reader: Reader,
    /// Read before the handler ran, and still to be given to it.
    ahead: VecDeque<Frame<Bytes>>,
}

impl RequestBody {
    pub(crate) fn new(inner: Body, reader: Reader) -> Self {
        Self {
            inner,
            reader,
            ahead: VecDeque::new(),
        }
    }

    /// Reads ahead as far as `reading` says, or to the end, or to an error.
    pub(crate) async fn read(&mut self, reading: Reading) {
        let mut data = BytesMut::new();
        while reading.wants_more_than(&data) {
            let frame = std::future::poll_fn(|cx| self.poll_inner(cx)).await;
            let Some(Ok(frame)) = frame else { return };
            data.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            self.ahead.push_back(frame);
        }
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.reader.read(data);
                }
                if self.inner.is_end_stream() {
                    self.reader.ended();
                }
            }
            Some(Err(_)) => {}
            None => self.reader.ended(),
        }
        Poll::Ready(frame)
    }
}

impl Reading {
    fn wants_more_than(self, data: &BytesMut) -> bool {
        match self {
            Self::Nothing => false,
            Self::Messages(count) => wire::messages(data.clone().freeze()).len() < count,
            Self::Everything => true,
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.ahead.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => self.poll_inner(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.inner.is_end_stream()
    }
}

/// An answer's body that holds the call's entry in the log, and finishes it at its end.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    inner: Body,
    entry: Entry,
}

impl AnswerBody {
    pub(crate) fn new(inner: Body, entry: Entry) -> Self {
        if inner.is_end_stream() {
            entry.finish();
        }
        Self { inner, entry }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let goes_on = matches!(&frame, Some(Ok(frame)) if frame.is_data());
        if !goes_on || self.inner.is_end_stream() {
            self.entry.finish();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
