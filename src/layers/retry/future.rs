use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::body::{RequestBody, WaitingShare};
use crate::dispatch::{AnswerBody, Attempt, Read, Recorder, Seen, broken, received};
use crate::error::{BoxError, Error};
use crate::kernel::timer::Timer;

use super::RetryBody;
use super::answer::{self, Judged};
use super::call::RetryCall;
use super::credentials::Sent;
use super::hook::Preparing;
use super::judge::Next;

/// The future of [`Retry`](super::Retry).
#[pin_project]
pub struct ResponseFuture<S, B, R>
where
    S: Service<Request<B>>,
    B: RequestBody,
{
    #[pin]
    state: State<S, B, R>,
    /// Boxed, so that the data moved with each call stays small.
    call: Option<Box<RetryCall<S, B>>>,
    recorder: Recorder,
    /// The credentials of the current attempt, from a hook.
    sent: Option<Box<Sent>>,
}

#[pin_project(project = StateProj)]
enum State<S, B, R>
where
    S: Service<Request<B>>,
{
    /// An attempt without a response.
    Attempt(#[pin] Attempt<S, B>),
    /// The head is held until the first frame.
    Held(Option<(Parts, R)>),
    /// Between two attempts.
    Backoff(Timer, WaitingShare),
    /// The hook runs before an attempt.
    Preparing(Preparing),
    /// The hook runs before the only attempt of a call that the layer passes through.
    PreparingOnce(Preparing, Option<Box<(S, Request<B>)>>),
    /// The attempt failed, or the call could not begin.
    Failed(Option<Error>),
}

type Done<R> = Result<Response<RetryBody<R>>, Error>;

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<B>>,
    B: RequestBody,
{
    /// For a call that the layer passes through.
    pub(super) fn passing(attempt: Attempt<S, B>, recorder: Recorder) -> Self {
        Self::new(State::Attempt(attempt), None, recorder)
    }

    /// For a call that the layer passes through once the hook has run.
    pub(super) fn passing_prepared(
        preparing: Preparing,
        service: S,
        request: Request<B>,
        recorder: Recorder,
    ) -> Self {
        let state = State::PreparingOnce(preparing, Some(Box::new((service, request))));
        Self::new(state, None, recorder)
    }

    pub(crate) fn retrying(
        first: Attempt<S, B>,
        call: Box<RetryCall<S, B>>,
        recorder: Recorder,
    ) -> Self {
        Self::new(State::Attempt(first), Some(call), recorder)
    }

    pub(super) fn preparing(
        preparing: Preparing,
        call: Box<RetryCall<S, B>>,
        recorder: Recorder,
    ) -> Self {
        Self::new(State::Preparing(preparing), Some(call), recorder)
    }

    /// For a call whose current attempt failed with this error.
    pub(crate) fn after(error: Error, call: Box<RetryCall<S, B>>, recorder: Recorder) -> Self {
        Self::new(State::Failed(Some(error)), Some(call), recorder)
    }

    pub(super) fn failed(error: Error, recorder: Recorder) -> Self {
        Self::new(State::Failed(Some(error)), None, recorder)
    }

    fn new(state: State<S, B, R>, call: Option<Box<RetryCall<S, B>>>, recorder: Recorder) -> Self {
        Self {
            state,
            call,
            recorder,
            sent: None,
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
    type Output = Done<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Done<R>> {
        let mut this = self.project();
        loop {
            let failure = match this.state.as_mut().project() {
                StateProj::Attempt(attempt) => {
                    let Poll::Ready(outcome) = attempt.poll(cx) else {
                        if let Some(call) = this.call {
                            call.goes_on();
                        }
                        return Poll::Pending;
                    };
                    let Some(call) = this.call.as_mut() else {
                        return Poll::Ready(pass(outcome, this.recorder, this.sent.take()));
                    };
                    match judge(outcome, call) {
                        Ok((response, Judged::Open)) => {
                            this.state.set(State::Held(Some(response.into_parts())));
                            continue;
                        }
                        Ok((mut response, said)) => {
                            let committed = this.call.take().map(|mut call| call.commit());
                            let recorder = this.recorder.answered(&mut response, said.code());
                            let sent = this.sent.take();
                            return Poll::Ready(Ok(response.map(|inner| {
                                RetryBody::answering(inner, said, committed, recorder).of(sent)
                            })));
                        }
                        Err(error) => error,
                    }
                }
                StateProj::Held(held) => match ready!(poll_held(held, cx)) {
                    Ok((mut response, first)) => {
                        let committed = this.call.take().map(|mut call| call.commit());
                        let recorder = this.recorder.answered(&mut response, None);
                        let sent = this.sent.take();
                        return Poll::Ready(Ok(response.map(|inner| {
                            RetryBody::released(inner, first, committed, recorder).of(sent)
                        })));
                    }
                    Err(error) => error,
                },
                StateProj::Backoff(timer, _) => {
                    let over = ready!(timer.poll(cx));
                    let Some(call) = this.call.as_mut() else {
                        return Poll::Pending;
                    };
                    let next = match call.waited(over) {
                        None => State::next(call),
                        Some(error) => {
                            *this.call = None;
                            State::Failed(Some(error))
                        }
                    };
                    this.state.set(next);
                    continue;
                }
                StateProj::Preparing(preparing) => {
                    let prepared = ready!(preparing.as_mut().poll(cx));
                    match (prepared, this.call.as_mut()) {
                        (Ok(prepared), Some(call)) => {
                            *this.sent = Some(prepared.sent);
                            let next = State::attempt(call, Some(prepared.headers));
                            this.state.set(next);
                            continue;
                        }
                        (Ok(_), None) => return Poll::Pending,
                        (Err(error), _) => Error::hook_failed(error),
                    }
                }
                StateProj::PreparingOnce(preparing, pending) => {
                    let prepared = ready!(preparing.as_mut().poll(cx));
                    match (prepared, pending.take()) {
                        (Ok(prepared), Some(pending)) => {
                            *this.sent = Some(prepared.sent);
                            let (service, mut request) = *pending;
                            *request.headers_mut() = prepared.headers;
                            let attempt = Attempt::when_ready(service, request);
                            this.state.set(State::Attempt(attempt));
                            continue;
                        }
                        (Ok(_), None) => return Poll::Pending,
                        (Err(error), _) => Error::hook_failed(error),
                    }
                }
                StateProj::Failed(error) => match error.take() {
                    Some(error) => error,
                    // Polled after completion, which the `Future` contract forbids.
                    None => return Poll::Pending,
                },
            };
            let next = State::after(failure, this.sent.take(), this.call.as_mut());
            match next {
                Ok(next) => this.state.set(next),
                Err(last) => {
                    *this.call = None;
                    this.state.set(State::Failed(None));
                    return Poll::Ready(Err(this.recorder.failed(last)));
                }
            }
        }
    }
}

impl<S, B, R> State<S, B, R>
where
    S: Service<Request<B>> + Clone,
    B: RequestBody,
{
    /// Starts the next attempt, or the hook before it.
    fn next(call: &mut RetryCall<S, B>) -> Self {
        match call.begin() {
            Some(preparing) => Self::Preparing(preparing),
            None => Self::attempt(call, None),
        }
    }

    /// Decides what follows a failed attempt. `sent`: the credentials with which it was sent.
    fn after(
        failure: Error,
        sent: Option<Box<Sent>>,
        call: Option<&mut Box<RetryCall<S, B>>>,
    ) -> Result<Self, Error> {
        if let Some(sent) = sent {
            sent.failed(&failure);
        }
        let Some(call) = call else {
            return Err(failure);
        };
        match call.after(failure) {
            Next::GoOn => Ok(Self::attempt(call, None)),
            Next::Wait(after, room) => Ok(Self::Backoff(call.timer(after), room)),
            Next::Stop(error) => Err(error),
        }
    }

    fn attempt(call: &mut RetryCall<S, B>, prepared: Option<HeaderMap>) -> Self {
        let request = call.request(prepared);
        Self::Attempt(Attempt::when_ready(call.service(), request))
    }
}

/// The result of an attempt, as far as the head of its response shows it.
#[inline]
fn judge<S, B, R>(
    outcome: Result<Response<R>, Error>,
    call: &mut RetryCall<S, B>,
) -> Result<(Response<R>, Judged), Error>
where
    S: Clone,
    B: RequestBody,
{
    let mut response = outcome?;
    let said = call.judge(&mut response)?;
    Ok((response, said))
}

/// Reads the first frame of a held response: the response begins, or the attempt failed.
fn poll_held<R>(
    held: &mut Option<(Parts, R)>,
    cx: &mut Context<'_>,
) -> Poll<Result<(Response<R>, Read), Error>>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let Some((_, body)) = held else {
        return Poll::Pending;
    };
    let read = ready!(Pin::new(body).poll_frame(cx)).map(|read| {
        let mut frame = read.map_err(broken)?;
        Seen::tidy(&mut frame);
        Ok(frame)
    });
    let Some((parts, body)) = held.take() else {
        return Poll::Pending;
    };
    Poll::Ready(match answer::failure_in(&parts, &read) {
        Some(error) => Err(error),
        None => Ok((Response::from_parts(parts, body), read)),
    })
}

/// The result of a call that the layer passed through.
#[inline]
fn pass<R>(
    outcome: Result<Response<R>, Error>,
    recorder: &mut Recorder,
    sent: Option<Box<Sent>>,
) -> Done<R> {
    let judged = outcome.and_then(|mut response| {
        let code = received(&mut response)?;
        Ok((response, code))
    });
    match judged {
        Ok((mut response, code)) => {
            if let Some(sent) = &sent {
                sent.answered(&response, code);
            }
            let recorder = recorder.answered(&mut response, code);
            Ok(response
                .map(|inner| RetryBody::passing(AnswerBody::new(inner, code), recorder).of(sent)))
        }
        Err(error) => {
            if let Some(sent) = sent {
                sent.failed(&error);
            }
            Err(recorder.failed(error))
        }
    }
}
