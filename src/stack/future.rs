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
use crate::grpc::Glance;
use crate::retry;
use crate::wait_for_ready::Watch;

use super::ResilientBody;
use super::going::{Going, Layers};

/// The future of [`Resilient`](super::Resilient).
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
    /// While the call is an ordinary one.
    going: Option<Going<S, B>>,
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
    /// The first attempt of an ordinary call has no answer yet.
    Attempt(#[pin] Attempt<S, B>),
    /// Its head is held until the first frame.
    Held(Option<Held<R>>),
    /// All other calls.
    Layers(Pin<Box<Layers<S, B>>>),
    /// Whoever keeps the future does not keep the attempt.
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
    /// Of an ordinary call.
    #[inline]
    pub(super) fn going(attempt: Attempt<S, B>, going: Going<S, B>) -> Self {
        Self {
            state: State::Attempt(attempt),
            going: Some(going),
        }
    }

    /// Of any other.
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
                (StateProj::Attempt(attempt), Some(going)) => match attempt.poll(cx) {
                    Poll::Ready(Ok(response)) if leaves_all_to_trailers(&response) => {
                        let watch = going.heard();
                        if going.answers_once() {
                            this.state.set(State::Held(Some((response, watch))));
                            continue;
                        }
                        let Some(going) = this.going.take() else {
                            return Poll::Pending;
                        };
                        let answered = going.answered(watch);
                        let body = |inner| ResilientBody::answered(inner, answered);
                        return Poll::Ready(Ok(response.map(body)));
                    }
                    Poll::Ready(outcome) => match this.going.take() {
                        Some(going) => going.taken_up(outcome),
                        None => return Poll::Pending,
                    },
                    Poll::Pending => {
                        let error = ready!(going.poll_over(cx));
                        *this.going = None;
                        this.state.set(State::Over);
                        return Poll::Ready(Err(error));
                    }
                },
                (StateProj::Held(held), Some(going)) => {
                    let Some((response, _)) = held else {
                        return Poll::Pending;
                    };
                    let Poll::Ready(read) = Pin::new(response.body_mut()).poll_frame(cx) else {
                        let error = ready!(going.poll_over(cx));
                        *this.going = None;
                        this.state.set(State::Over);
                        return Poll::Ready(Err(error));
                    };
                    let (Some(held), Some(going)) = (held.take(), this.going.take()) else {
                        return Poll::Pending;
                    };
                    match released(held, read.map(|it| it.map_err(broken)), going) {
                        Ok(response) => return Poll::Ready(Ok(response)),
                        Err(layers) => layers,
                    }
                }
            };
            this.state.set(State::Layers(Box::pin(layers)));
        }
    }
}

/// Whether the head of an answer is that of nearly all: gRPC, and no word of the status yet.
#[inline]
fn leaves_all_to_trailers<R>(response: &Response<R>) -> bool {
    let glance = Glance::at(response.headers());
    let says_nothing = glance.code.is_none() && !glance.has_details && !glance.is_foreign;
    says_nothing && response.status() == StatusCode::OK
}

/// An answer of which no frame was read, and what watches its connection.
type Held<R> = (Response<R>, Option<Watch>);

type Released<S, B, R> = Result<Response<ResilientBody<R>>, Layers<S, B>>;

/// What was read first decides on a held answer: it goes up with it, or the attempt failed.
fn released<S, B, R>(held: Held<R>, mut read: Read, going: Going<S, B>) -> Released<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let (response, mut watch) = held;
    match &mut read {
        Some(Ok(frame)) => _ = Seen::tidy(frame),
        Some(Err(error)) => {
            if let Some(watch) = watch.take() {
                watch.failed(error);
            }
        }
        None => {}
    }
    let (parts, body) = response.into_parts();
    if let Some(error) = retry::failure_in(&parts, &read) {
        return Err(going.failed(error));
    }
    let body = ResilientBody::held(body, read, going.answered(watch));
    Ok(Response::from_parts(parts, body))
}
