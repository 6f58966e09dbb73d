use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body, Frame};
use tokio::sync::oneshot;

use super::slot::Slot;
use crate::error::BoxError;

/// Sends a body that was not there whole when its head was sent (CONTRACT C9).
///
/// It runs as a task of its own and not with the response, for the caller of a bidirectional stream
/// may not read yet; and it ends with its call.
pub(super) struct Pump<B: Body> {
    body: B,
    data: Option<Bytes>,
    next: Option<Result<Frame<Bytes>, B::Error>>,
    is_last: bool,
    /// Dropped before the slot.
    stream: SendStream<Bytes>,
    /// Closed when the call is over.
    call: oneshot::Receiver<()>,
    slot: Arc<Slot>,
}

enum End {
    /// The request is sent whole, or the stream is over.
    Done,
    /// Nothing more is sent.
    Reset(Reason),
}

impl<B> Pump<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(
        body: B,
        data: Option<Bytes>,
        next: Option<Result<Frame<Bytes>, B::Error>>,
        stream: SendStream<Bytes>,
        call: oneshot::Receiver<()>,
        slot: Arc<Slot>,
    ) -> Self {
        let is_last = next.is_none() && body.is_end_stream();
        Self {
            body,
            data,
            next,
            is_last,
            stream,
            call,
            slot,
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if Pin::new(&mut self.call).poll(cx).is_ready() {
            // A request is never completed after its call (CONTRACT B5).
            return Poll::Ready(End::Reset(Reason::CANCEL));
        }
        if self.stream.poll_reset(cx).is_ready() {
            return Poll::Ready(End::Done);
        }
        loop {
            if self.data.is_some() {
                if let Err(End::Done | End::Reset(_)) = ready!(self.poll_data(cx)) {
                    return Poll::Ready(End::Done);
                }
                if self.is_last {
                    self.slot.sent();
                    return Poll::Ready(End::Done);
                }
            }
            let frame = match self.next.take() {
                Some(frame) => Some(frame),
                None => ready!(Pin::new(&mut self.body).poll_frame(cx)),
            };
            let Some(frame) = frame else {
                let _ = self.stream.send_data(Bytes::new(), true);
                self.slot.sent();
                return Poll::Ready(End::Done);
            };
            match frame.map(Frame::into_data) {
                Err(error) => return Poll::Ready(End::Reset(reason(&*error.into()))),
                Ok(Ok(data)) => {
                    self.data = Some(data);
                    self.is_last = self.body.is_end_stream();
                }
                Ok(Err(frame)) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let _ = self.stream.send_trailers(trailers);
                    self.slot.sent();
                    return Poll::Ready(End::Done);
                }
            }
        }
    }

    /// Sends what there is, as the peer's windows allow it; `Err` if the stream is over.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let Some(mut data) = self.data.take() else {
            return Poll::Ready(Ok(()));
        };
        if data.is_empty() && self.is_last {
            let _ = self.stream.send_data(data, true);
            return Poll::Ready(Ok(()));
        }
        self.stream.reserve_capacity(data.len());
        while !data.is_empty() {
            if self.stream.capacity() == 0 {
                match self.stream.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(_))) => continue,
                    Poll::Ready(_) => return Poll::Ready(Err(End::Done)),
                    Poll::Pending => {
                        self.data = Some(data);
                        return Poll::Pending;
                    }
                }
            }
            let part = data.split_to(data.len().min(self.stream.capacity()));
            if !data.is_empty() {
                self.slot.connection.facts.add_cut(part.len());
            }
            let is_end = self.is_last && data.is_empty();
            if self.stream.send_data(part, is_end).is_err() {
                return Poll::Ready(Err(End::Done));
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The body alone is pinned, and it is `Unpin`.
impl<B: Body + Unpin> Unpin for Pump<B> {}

impl<B> Future for Pump<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_end(cx)) {
            End::Done => {}
            End::Reset(reason) => self.stream.send_reset(reason),
        }
        Poll::Ready(())
    }
}

/// What a body that failed resets its stream with: the reason in its chain, or CANCEL.
fn reason(error: &(dyn Error + 'static)) -> Reason {
    let mut link: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = link {
        if let Some(reason) = error
            .downcast_ref::<h2::Error>()
            .and_then(h2::Error::reason)
        {
            return reason;
        }
        link = error.source();
    }
    Reason::CANCEL
}
