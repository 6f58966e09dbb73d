//! One call on one connection.

mod failure;
mod first;
mod head;
mod pump;
mod response;
mod slot;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body::Body;
use tokio::sync::oneshot;

use super::connection::{First, Sent, Why};
use super::errors;
use crate::classify::{Endpoint, Progress, Reason, TransportError, Verdict};
use crate::error::BoxError;
use crate::grpc::{Code, STATUS};
use failure::failure;
use pump::Pump;
use slot::Held;

pub(crate) use first::{Look, look};
pub(crate) use head::Heads;
pub use response::ResponseBody;
pub(crate) use slot::Slot;

/// What of a body is there, besides what is still in it.
pub(crate) enum Ready<E> {
    Nothing,
    Whole(Bytes),
    Part(Option<Bytes>, Next<E>),
}

/// A frame that was looked at.
type Next<E> = Option<Result<http_body::Frame<Bytes>, E>>;
type Part<E> = (Option<Bytes>, Next<E>);

/// A request that can be sent, and sent again as long as h2 did not get it.
pub(crate) struct Outgoing<B: Body> {
    /// `None` once h2 has it.
    pub(crate) head: Option<http::Request<()>>,
    pub(crate) ready: Ready<B::Error>,
    /// The rest of the body.
    pub(crate) body: Option<B>,
}

/// A call under way; dropping it resets its stream. The fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Exchange {
    response: h2::client::ResponseFuture,
    /// The pump of the request ends with the call.
    upload: Option<oneshot::Sender<()>>,
    slot: Option<Held>,
}

/// What became of a request.
pub(crate) enum Begun {
    Exchange(Exchange),
    /// Nothing of it was sent: it is whole.
    Back(Why),
    Failed(TransportError),
}

impl Exchange {
    pub(crate) fn begin<B>(out: &mut Outgoing<B>, slot: Slot, cx: &mut Context<'_>) -> Begun
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError> + Send,
    {
        let Some(head) = out.head.take() else {
            return Begun::Failed(spent());
        };
        let first = match std::mem::replace(&mut out.ready, Ready::Nothing) {
            Ready::Nothing => First::None,
            Ready::Whole(bytes) => First::Whole(bytes),
            Ready::Part(data, next) => {
                return Self::begin_stream(out, head, (data, next), slot, cx);
            }
        };
        match slot.connection.send(head, first) {
            Sent::Yes(response, stream) => {
                drop(stream);
                slot.used();
                slot.sent();
                Begun::Exchange(Self {
                    response,
                    upload: None,
                    slot: Some(Held::Alone(slot)),
                })
            }
            Sent::No(unsent) => {
                out.head = Some(unsent.head);
                if let First::Whole(bytes) = unsent.first {
                    out.ready = Ready::Whole(bytes);
                }
                Begun::Back(unsent.why)
            }
            Sent::Malformed(error) => Begun::Failed(malformed(error, &slot)),
        }
    }

    fn begin_stream<B>(
        out: &mut Outgoing<B>,
        head: http::Request<()>,
        (data, next): Part<B::Error>,
        slot: Slot,
        cx: &mut Context<'_>,
    ) -> Begun
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError> + Send,
    {
        let (response, stream) = match slot.connection.send(head, First::Follows) {
            Sent::Yes(response, stream) => (response, stream),
            Sent::No(unsent) => {
                out.head = Some(unsent.head);
                out.ready = Ready::Part(data, next);
                return Begun::Back(unsent.why);
            }
            Sent::Malformed(error) => return Begun::Failed(malformed(error, &slot)),
        };
        slot.used();
        let slot = Arc::new(slot);
        let (upload, call) = oneshot::channel();
        if let Some(body) = out.body.take() {
            let mut pump = Pump::new(body, data, next, stream, call, Arc::clone(&slot));
            if Pin::new(&mut pump).poll(cx).is_pending() {
                slot.connection.runtime.spawn(pump);
            }
        }
        Begun::Exchange(Self {
            response,
            upload: Some(upload),
            slot: Some(Held::Shared(slot)),
        })
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody>, TransportError>> {
        let answer = ready!(Pin::new(&mut self.response).poll(cx));
        let Some(slot) = self.slot.take() else {
            return Poll::Pending;
        };
        let connection = Arc::clone(&slot.connection);
        Poll::Ready(match answer {
            Ok(response) => {
                let (mut parts, stream) = response.into_parts();
                if stream.is_end_stream() && connection.facts.go_away().is_some() {
                    unmask(&mut parts.headers);
                }
                let endpoint = Arc::clone(&connection.endpoint);
                parts.extensions.insert(Endpoint::new(endpoint));
                let body = ResponseBody::new(stream, self.upload.take(), slot);
                Ok(Response::from_parts(parts, body))
            }
            Err(error) => {
                slot.ended();
                let id = self.response.stream_id().as_u32();
                Err(failure(id, error, &connection))
            }
        })
    }

    /// The endpoint that has the call.
    pub(crate) fn endpoint(&self) -> Option<Arc<str>> {
        let slot = self.slot.as_ref()?;
        Some(Arc::clone(&slot.connection.endpoint))
    }
}

/// On a connection that has received a GOAWAY, a Trailers-Only CANCELLED that this side did not
/// cause is UNAVAILABLE: C-core's servers end calls so that they accepted and gave to no handler
/// (CONTRACT R18).
fn unmask(head: &mut http::HeaderMap) {
    if Code::from_headers(head) == Some(Code::Cancelled) {
        head.insert(STATUS, HeaderValue::from_static("14"));
    }
}

/// The request was sent already, which no caller of this does.
#[cold]
fn spent() -> TransportError {
    let verdict = Verdict::new(Progress::Reached, Code::Internal, Reason::InvalidCall);
    errors::failed(verdict, None, "the request was sent already", None)
}

/// h2 refuses the head, whichever connection it is sent on.
#[cold]
fn malformed(error: h2::Error, slot: &Slot) -> TransportError {
    let verdict = Verdict::new(Progress::NotSent, Code::Internal, Reason::InvalidCall);
    let endpoint = Some(Arc::clone(&slot.connection.endpoint));
    let message = "the head of the request can't be sent";
    errors::failed(verdict, endpoint, message, Some(Arc::new(error)))
}
