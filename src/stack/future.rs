use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::body::RequestBody;
use crate::dispatch::{Attempt, Read, Seen, broken};
use crate::error::{BoxError, Error};
use crate::grpc::StatusHeaders;
use crate::layers::retry;
use crate::report::Waited;

use super::ResilientBody;
use super::going::{Going, Layers};

/// The response future of [`Resilient`](super::Resilient).
#[pin_project]
pub struct ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    #[pin]
    state: State<S, B, R>,
    /// Present while the call is on the fast path.
    going: Option<Box<Going<S, B>>>,
}

#[pin_project(project = StateProj)]
enum State<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    /// The first attempt on the fast path has no answer yet.
    Attempt(#[pin] Attempt<S, B>),
    /// The head of the answer is held until the first frame.
    Held(Option<Response<R>>),
    /// The call takes the path through all layers.
    Layers(Pin<Box<Layers<S, B>>>),
    /// Completed. The attempt is dropped, even if the future is kept.
    Over,
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    /// A call on the fast path.
    #[inline]
    pub(super) fn going(attempt: Attempt<S, B>, going: Box<Going<S, B>>) -> Self {
        Self {
            state: State::Attempt(attempt),
            going: Some(going),
        }
    }

    /// A call through all layers.
    pub(super) fn layers(future: Layers<S, B>) -> Self {
        Self {
            state: State::Layers(Box::pin(future)),
            going: None,
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<ResilientBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let layers = match (this.state.as_mut().project(), this.going.as_mut()) {
                (StateProj::Layers(layers), _) => {
                    let outcome = ready!(layers.as_mut().poll(cx));
                    return Poll::Ready(
                        outcome.map(|response| response.map(ResilientBody::layers)),
                    );
                }
                // Like any future, it must not be polled after it was ready.
                (StateProj::Over, _) | (_, None) => return Poll::Pending,
                (StateProj::Attempt(attempt), Some(_)) => match attempt.poll(cx) {
                    Poll::Ready(outcome) => {
                        let Some(going) = this.going.take() else {
                            return Poll::Pending;
                        };
                        match outcome {
                            Ok(response) if leaves_all_to_trailers(&response) => {
                                going.heard();
                                if going.answers_once() {
                                    *this.going = Some(going);
                                    this.state.set(State::Held(Some(response)));
                                    continue;
                                }
                                let answered = going.answered(true);
                                let body = |inner| ResilientBody::answered(inner, answered);
                                return Poll::Ready(Ok(response.map(body)));
                            }
                            outcome => Some(going.taken_up(outcome)),
                        }
                    }
                    Poll::Pending => None,
                },
                (StateProj::Held(held), Some(_)) => match poll_first(held, cx) {
                    Poll::Ready(read) => {
                        let (Some(held), Some(going)) = (held.take(), this.going.take()) else {
                            return Poll::Pending;
                        };
                        match released(held, read, going) {
                            Ok(response) => return Poll::Ready(Ok(response)),
                            Err(layers) => Some(layers),
                        }
                    }
                    Poll::Pending => None,
                },
            };
            let Some(layers) = layers else {
                let over = this.going.as_mut().map(|going| going.poll_over(cx));
                let error = ready!(over.unwrap_or(Poll::Pending));
                *this.going = None;
                this.state.set(State::Over);
                return Poll::Ready(Err(error));
            };
            this.state.set(State::Layers(Box::pin(layers)));
        }
    }
}

/// Whether the head is the usual one: gRPC, with the status still to come, of a call that did not
/// wait for the channel, and so has no report.
#[inline]
fn leaves_all_to_trailers<R>(response: &Response<R>) -> bool {
    let glance = StatusHeaders::at(response.headers());
    let has_extras = glance.has_details || glance.has_vouch;
    let says_nothing = glance.code.is_none() && !has_extras && !glance.is_foreign;
    says_nothing && response.status() == StatusCode::OK && !Waited::is_in(response)
}

type Released<S, B, R> = Result<Response<ResilientBody<R>>, Layers<S, B>>;

/// Reads the first frame of a held answer.
fn poll_first<R>(held: &mut Option<Response<R>>, cx: &mut Context<'_>) -> Poll<Read>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let Some(response) = held else {
        return Poll::Pending;
    };
    let read = ready!(Pin::new(response.body_mut()).poll_frame(cx));
    Poll::Ready(read.map(|read| read.map_err(broken)))
}

/// The first frame decides on a held answer: it is handed on with the head, or the attempt failed.
#[expect(
    clippy::result_large_err,
    reason = "the future that goes on after a failed attempt, moved once"
)]
fn released<S, B, R>(
    response: Response<R>,
    mut read: Read,
    going: Box<Going<S, B>>,
) -> Released<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let is_broken = match &mut read {
        Some(Err(error)) => {
            going.broke_off(error);
            true
        }
        Some(Ok(frame)) => {
            Seen::tidy(frame);
            false
        }
        None => false,
    };
    let (parts, body) = response.into_parts();
    if let Some(error) = retry::failure_in(&parts, &read) {
        return Err(going.failed(error));
    }
    let body = ResilientBody::held(body, read, going.answered(!is_broken));
    Ok(Response::from_parts(parts, body))
}
