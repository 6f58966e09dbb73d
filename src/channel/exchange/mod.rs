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
use http::{Extensions, HeaderValue, Response, StatusCode};
use http_body::Body;
use tokio::sync::oneshot;

use super::connection::{First, Sent, Why};
use super::errors;
use super::timing::Deadlined;
use crate::classify::{Endpoint, Progress, Reason, TransportError, Verdict};
use crate::error::BoxError;
use crate::grpc::{Code, STATUS};
use failure::failure;
use pump::Pump;
use slot::Held;

pub(crate) use first::{Look, look};
pub(crate) use head::{Heads, stamp};
pub use response::ResponseBody;
pub(crate) use slot::Slot;

/// What of a body is there, besides what is still in it.
pub(crate) enum Ready<E> {
    Nothing,
    Whole(Bytes),
    /// By itself in memory: few bodies come in parts.
    Part(Box<Part<E>>),
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
    /// The request's extensions, empty: the response's are written into their memory.
    pub(crate) extensions: Extensions,
}

impl<B: Body> Outgoing<B> {
    /// The size of the headers, and of the body as far as it is known without reading it: a body
    /// that was read could not go elsewhere if the call is not sent.
    pub(crate) fn bytes(&self) -> usize {
        let headers = self.head.iter().flat_map(http::Request::headers);
        let headers: usize = headers
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        let frame = |frame: &http_body::Frame<Bytes>| frame.data_ref().map_or(0, Bytes::len);
        let body = match &self.ready {
            Ready::Nothing => self.body.as_ref().map_or(0, |body| {
                usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX)
            }),
            Ready::Whole(bytes) => bytes.len(),
            Ready::Part(part) => {
                let (first, next) = &**part;
                let next = next.as_ref().and_then(|it| it.as_ref().ok());
                first.as_ref().map_or(0, Bytes::len) + next.map_or(0, frame)
            }
        };
        headers.saturating_add(body)
    }
}

/// A call under way; dropping it resets its stream. The fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Exchange {
    response: h2::client::ResponseFuture,
    /// The pump of the request ends with the call.
    upload: Option<oneshot::Sender<()>>,
    slot: Option<Held>,
    /// Empty, for the response.
    extensions: Extensions,
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
            Ready::Part(part) => {
                return Self::begin_stream(out, head, part, slot, cx);
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
                    extensions: std::mem::take(&mut out.extensions),
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
        part: Box<Part<B::Error>>,
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
                out.ready = Ready::Part(part);
                return Begun::Back(unsent.why);
            }
            Sent::Malformed(error) => return Begun::Failed(malformed(error, &slot)),
        };
        slot.used();
        let slot = Arc::new(slot);
        let (upload, call) = oneshot::channel();
        if let Some(body) = out.body.take() {
            let (data, next) = *part;
            let mut pump = Pump::new(body, data, next, stream, call, Arc::clone(&slot));
            if Pin::new(&mut pump).poll(cx).is_pending() {
                slot.connection.runtime.spawn(pump);
            }
        }
        Begun::Exchange(Self {
            response,
            upload: Some(upload),
            slot: Some(Held::Shared(slot)),
            extensions: std::mem::take(&mut out.extensions),
        })
    }

    /// With a response that goes on goes the deadline of the call, which its body has to keep too.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        deadline: impl FnOnce() -> Option<Deadlined>,
    ) -> Poll<Result<Response<ResponseBody>, TransportError>> {
        let answer = ready!(Pin::new(&mut self.response).poll(cx));
        let Some(slot) = self.slot.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match answer {
            Ok(mut response) => {
                slot.headed();
                if response.status() != StatusCode::OK {
                    slot.refused(&response);
                }
                let is_over = response.body().is_end_stream();
                if is_over {
                    if slot.connection.facts.go_away().is_some() {
                        unmask(response.headers_mut());
                    }
                    slot.answered_with(response.headers());
                    slot.answered();
                }
                let endpoint = Arc::clone(&slot.connection.endpoint);
                self.extensions.insert(Endpoint::new(endpoint));
                let extensions = response.extensions_mut();
                std::mem::swap(extensions, &mut self.extensions);
                Ok(response.map(|stream| {
                    if is_over {
                        return ResponseBody::default();
                    }
                    ResponseBody::new(stream, self.upload.take(), slot, deadline())
                }))
            }
            Err(error) => {
                slot.ended();
                let id = self.response.stream_id().as_u32();
                let error = failure(id, error, &slot.connection);
                if error.verdict().reason == Reason::GoAway {
                    slot.unprocessed();
                } else {
                    slot.broken(&error.verdict());
                }
                Err(error)
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
