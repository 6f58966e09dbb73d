use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason as H2Reason, RecvStream};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::failure::failure;
use super::slot::Held;
use crate::channel::timing::Deadlined;
use crate::classify::TransportError;

/// The body of a response. It holds its stream: dropped before its end, it resets the stream.
///
/// A generated client reads it. Layers of your own may, too:
///
/// ```no_run
/// use grpc_resilience::channel::{Channel, ResponseBody};
/// use http_body_util::BodyExt as _;
/// use tower::ServiceExt as _;
///
/// # async fn call(
/// #     channel: Channel,
/// #     request: http::Request<tonic::body::Body>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let body: ResponseBody = channel.oneshot(request).await?.into_body();
/// let trailers = body.collect().await?.trailers().cloned();
/// println!("{trailers:?}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ResponseBody {
    state: State,
    deadline: Option<Deadlined>,
}

#[derive(Debug)]
enum State {
    /// Messages come.
    Data(Stream),
    Trailers(Stream),
    Over,
}

/// The fields are dropped in this order.
#[derive(Debug)]
struct Stream {
    frames: RecvStream,
    /// To its end.
    is_read: bool,
    /// The size of what was handed on last. It counts as unread until more is asked for; most
    /// answers have one message, whose bytes h2 gives back with the stream.
    held: usize,
    /// The message that was handed on last may be the only one.
    may_be_only: bool,
    /// The pump of the request ends with the call.
    _upload: Option<oneshot::Sender<()>>,
    slot: Held,
}

/// It is empty, as a generated client with an interceptor needs one.
impl Default for ResponseBody {
    fn default() -> Self {
        Self {
            state: State::Over,
            deadline: None,
        }
    }
}

impl ResponseBody {
    /// One that is not over yet; it has to end by the deadline.
    pub(super) fn new(
        stream: RecvStream,
        upload: Option<oneshot::Sender<()>>,
        slot: Held,
        deadline: Option<Deadlined>,
    ) -> Self {
        Self {
            state: State::Data(Stream {
                frames: stream,
                is_read: false,
                held: 0,
                may_be_only: false,
                _upload: upload,
                slot,
            }),
            deadline,
        }
    }

    fn poll_stream(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        if let State::Data(it) = &mut self.state {
            // h2 finds trailers for `poll_data`, too, and has to put them back.
            if mem::take(&mut it.may_be_only)
                && let Poll::Ready(trailers) = it.frames.poll_trailers(cx)
            {
                return Poll::Ready(self.end(trailers));
            }
            it.release();
            match ready!(it.frames.poll_data(cx)) {
                Some(Ok(data)) => {
                    let is_first = it.slot.message();
                    it.may_be_only = is_first;
                    it.held = data.len();
                    let deadline = self.deadline.as_ref().filter(|_| !is_first);
                    let is_late = deadline.is_some_and(Deadlined::has_passed_unseen);
                    if is_late && !self.goes_on() {
                        return Poll::Ready(self.expired().map(Err));
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(self.fail(error)),
                None => {
                    let State::Data(it) = mem::replace(&mut self.state, State::Over) else {
                        return Poll::Ready(None);
                    };
                    self.state = State::Trailers(it);
                }
            }
        }
        let State::Trailers(it) = &mut self.state else {
            return Poll::Ready(None);
        };
        let trailers = ready!(it.frames.poll_trailers(cx));
        Poll::Ready(self.end(trailers))
    }

    /// All messages were read.
    fn end(
        &mut self,
        trailers: Result<Option<HeaderMap>, h2::Error>,
    ) -> Option<Result<Frame<Bytes>, TransportError>> {
        let trailers = match trailers {
            Ok(trailers) => trailers,
            Err(error) => return self.fail(error),
        };
        if let State::Data(it) | State::Trailers(it) = &mut self.state {
            if let Some(trailers) = &trailers {
                it.slot.answered_with(trailers);
            }
            it.is_read = true;
            it.slot.answered();
        }
        self.state = State::Over;
        self.deadline = None;
        trailers.map(|trailers| Ok(Frame::trailers(trailers)))
    }

    /// The deadline has passed; whether it was the end of an attempt that goes on after all
    /// (CONTRACT D12).
    #[cold]
    fn goes_on(&mut self) -> bool {
        let (State::Data(it) | State::Trailers(it)) = &self.state else {
            return false;
        };
        let lifted = it.slot.lifted();
        let deadline = self.deadline.as_mut();
        deadline
            .zip(lifted)
            .is_some_and(|(deadline, lifted)| deadline.move_to(lifted))
    }

    /// The deadline has passed: the stream is reset.
    #[cold]
    fn expired(&mut self) -> Option<TransportError> {
        let (State::Data(it) | State::Trailers(it)) =
            std::mem::replace(&mut self.state, State::Over)
        else {
            return None;
        };
        let deadline = self.deadline.take()?;
        Some(deadline.expired_during_answer(Arc::clone(&it.slot.connection.endpoint)))
    }

    /// A server that ends the stream with `NO_ERROR` has said all that it says, as hyper has it
    /// too: the layers and the generated client miss a status. CANCEL is a failure (CONTRACT H3).
    fn fail(&mut self, error: h2::Error) -> Option<Result<Frame<Bytes>, TransportError>> {
        let (State::Data(it) | State::Trailers(it)) = mem::replace(&mut self.state, State::Over)
        else {
            return None;
        };
        self.deadline = None;
        it.slot.ended();
        if error.is_reset() && error.reason() == Some(H2Reason::NO_ERROR) {
            return None;
        }
        let id = it.frames.stream_id().as_u32();
        let error = failure(id, error, &it.slot.connection);
        it.slot.broken(&error.verdict());
        Some(Err(error.after_headers()))
    }
}

impl Stream {
    /// What was handed on is read: the peer may send as much.
    fn release(&mut self) {
        let held = mem::take(&mut self.held);
        if held > 0 {
            let _ = self.frames.flow_control().release_capacity(held);
            self.slot.connection.took(held);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let unread = if self.is_read {
            self.held
        } else {
            self.frames.flow_control().used_capacity()
        };
        if unread > 0 {
            self.slot.connection.took(unread);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let polled = self.poll_stream(cx);
        if polled.is_ready() {
            return polled;
        }
        while let Some(deadline) = &mut self.deadline {
            ready!(deadline.poll(cx));
            if !self.goes_on() {
                return Poll::Ready(self.expired().map(Err));
            }
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::super::slot::Slot;
    use super::*;
    use crate::channel::connection::tests::{Told, connected_to};
    use crate::channel::connection::{Connection, First, Sent};

    /// A server that answers each request with a number of messages of 1,000 bytes.
    async fn answers(io: tokio::io::DuplexStream, messages: usize) {
        let mut server = h2::server::handshake(io).await.unwrap();
        while let Some(Ok((_, mut respond))) = server.accept().await {
            let mut stream = respond
                .send_response(http::Response::new(()), false)
                .unwrap();
            for _ in 0..messages {
                stream.send_data(vec![7; 1_000].into(), false).unwrap();
            }
            stream.send_trailers(HeaderMap::new()).unwrap();
        }
    }

    async fn body(connection: &Arc<Connection>) -> ResponseBody {
        assert!(connection.slots.take(u32::MAX));
        let slot = Slot::taken(Arc::clone(connection), 0);
        let head = http::Request::post("http://test/a/B").body(()).unwrap();
        let Sent::Yes(response, _) = connection.send(head, First::None) else {
            panic!("it is open");
        };
        slot.used();
        slot.sent();
        let frames = response.await.unwrap().into_body();
        ResponseBody::new(frames, None, Held::Alone(slot), None)
    }

    // CONTRACT C14
    #[tokio::test(start_paused = true)]
    async fn what_was_handed_on_counts_as_unread_until_more_is_asked_for() {
        for messages in [1, 2, 5] {
            let told = Arc::<Told>::default();
            let connection = connected_to(&told, |io| answers(io, messages)).await;
            let mut body = body(&connection).await;
            for read in 1..=messages {
                let frame = body.frame().await.unwrap().unwrap();
                assert_eq!(frame.data_ref().map(Bytes::len), Some(1_000));
                let unread = (messages + 1 - read) as u64 * 1_000;
                assert_eq!(connection.unread(), unread, "{read} of {messages}");
            }
            assert!(body.frame().await.unwrap().unwrap().is_trailers());
            assert_eq!(connection.unread(), 0);
            assert!(body.is_end_stream() && body.frame().await.is_none());
        }
    }

    // CONTRACT C14
    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_dropped_leaves_nothing_unread() {
        for read in 0..3 {
            let told = Arc::<Told>::default();
            let connection = connected_to(&told, |io| answers(io, 3)).await;
            let mut body = body(&connection).await;
            for _ in 0..read {
                body.frame().await.unwrap().unwrap();
            }
            drop(body);
            assert_eq!(connection.unread(), 0, "after {read}");
        }
    }
}
