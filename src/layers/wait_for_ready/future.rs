use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use crate::body::{RequestBody, RequestGuard};
use crate::dispatch::{AnswerBody, Attempt, Recorder, received};
use crate::error::{BoxError, Error};
use crate::kernel::timer::{Home, NoRuntime, Timer};

use super::WaitBody;
use super::call::{Step, WaitCall};
use crate::ready::Probe;
use crate::ready::Ticket;
use crate::ready::{Heard, Polled};

/// The future of [`WaitForReady`](super::WaitForReady).
#[pin_project]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
    B: RequestBody,
{
    #[pin]
    state: State<S, B>,
    /// `None` once the response has arrived.
    ticket: Option<Ticket>,
    /// `None` for a call that never waits.
    call: Option<WaitCall<S, B>>,
    recorder: Recorder,
    /// The request of a call that does not keep it for another attempt ends with the call
    /// (CONTRACT R13).
    request: Option<RequestGuard>,
    /// The waker with which a probe is polled.
    heard: Option<Arc<Heard>>,
}

#[pin_project(project = StateProj)]
enum State<S, B>
where
    S: Service<Request<B>>,
{
    /// An attempt without a response.
    Attempt(#[pin] Attempt<S, B>),
    /// Woken by the gate or by this timer: at the deadline, when a dial is due, or at its turn.
    Waiting(Option<Timer>),
    /// The call cannot be sent.
    Failed(Option<Error>),
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
    B: RequestBody,
{
    /// For a call that is sent, with the state that it needs if the request comes back.
    pub(crate) fn going(
        attempt: Attempt<S, B>,
        ticket: Ticket,
        call: Option<WaitCall<S, B>>,
        recorder: Recorder,
    ) -> Self {
        Self {
            state: State::Attempt(attempt),
            ticket: Some(ticket),
            call,
            recorder,
            request: None,
            heard: None,
        }
    }

    /// Ends this request with the call.
    pub(super) fn guarding(self, request: Option<RequestGuard>) -> Self {
        Self { request, ..self }
    }

    pub(super) fn waiting(ticket: Ticket, call: WaitCall<S, B>, recorder: Recorder) -> Self {
        Self {
            state: State::Waiting(None),
            ticket: Some(ticket),
            call: Some(call),
            recorder,
            request: None,
            heard: None,
        }
    }

    pub(super) fn failed(error: Error, ticket: Ticket, recorder: Recorder) -> Self {
        Self {
            state: State::Failed(Some(error)),
            ticket: Some(ticket),
            call: None,
            recorder,
            request: None,
            heard: None,
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<WaitBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut failed = false;
        loop {
            // Polled after completion, which the `Future` contract forbids.
            let Some(ticket) = this.ticket.as_mut() else {
                return Poll::Pending;
            };
            match (this.state.as_mut().project(), this.call.as_mut()) {
                (StateProj::Attempt(attempt), call) => {
                    let polled = match &ticket.probe {
                        Some(probe) => {
                            ticket.gate.state.polled(probe);
                            let waker = heard(this.heard, probe, cx.waker());
                            let _polled = Polled::now(probe);
                            attempt.poll(&mut Context::from_waker(&waker))
                        }
                        None => attempt.poll(cx),
                    };
                    let Poll::Ready(outcome) = polled else {
                        if let Some(call) = call {
                            call.goes_on(ticket);
                        }
                        return Poll::Pending;
                    };
                    let error = match outcome {
                        Ok(mut response) => {
                            let watch = this.ticket.take().map(Ticket::answered);
                            let (call, request) = (this.call.take(), this.request.take());
                            let code = match received(&mut response) {
                                Ok(code) => code,
                                Err(error) => return Poll::Ready(Err(this.recorder.failed(error))),
                            };
                            drop(call.and_then(WaitCall::answered));
                            drop(request.map(RequestGuard::answered));
                            let recorder = this.recorder.answered(&mut response, code);
                            let body = |inner| {
                                WaitBody::new(AnswerBody::new(inner, code), watch, recorder)
                            };
                            return Poll::Ready(Ok(response.map(body)));
                        }
                        Err(error) => error,
                    };
                    let last = match call {
                        Some(call) => call.after(ticket, error),
                        None => Err(ticket.end(error).of_guarded(this.request.take())),
                    };
                    if let Err(last) = last {
                        *this.ticket = None;
                        *this.call = None;
                        *this.request = None;
                        return Poll::Ready(Err(this.recorder.failed(last)));
                    }
                    this.state.set(State::Waiting(None));
                    if std::mem::replace(&mut failed, true) {
                        // A service that fails without waiting must not occupy the thread.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                (StateProj::Waiting(timer), Some(call)) => {
                    match call.step(ticket, Some(cx.waker())) {
                        Step::Wait(until) => {
                            set(timer, until, &ticket.gate.state.home);
                            let due = timer.as_mut().map(|timer| timer.poll(cx));
                            match due.unwrap_or(Poll::Pending) {
                                Poll::Pending => return Poll::Pending,
                                Poll::Ready(Ok(())) => {}
                                Poll::Ready(Err(NoRuntime)) => {
                                    let error = call.without_runtime();
                                    this.state.set(State::Failed(Some(error)));
                                }
                            }
                        }
                        Step::Go(request) => {
                            let attempt = Attempt::when_ready(call.service(), request);
                            this.state.set(State::Attempt(attempt));
                        }
                        Step::Fail(error) => {
                            let error = this.recorder.decided(call.path(), error);
                            this.state.set(State::Failed(Some(error)));
                        }
                    }
                }
                (StateProj::Waiting(_), None) => return Poll::Pending,
                (StateProj::Failed(error), _) => {
                    return error.take().map_or(Poll::Pending, |error| {
                        Poll::Ready(Err(this.recorder.failed(error)))
                    });
                }
            }
        }
    }
}

/// The waker of this probe, whose caller is polled with `owner`.
#[cold]
fn heard(known: &mut Option<Arc<Heard>>, probe: &Probe, owner: &Waker) -> Waker {
    let known = match known.take_if(|it| it.is_of(probe)) {
        Some(it) => {
            it.owned_by(owner);
            known.insert(it)
        }
        None => known.insert(Heard::new(probe, owner)),
    };
    Waker::from(Arc::clone(known))
}

fn set(timer: &mut Option<Timer>, until: Option<Instant>, home: &Home) {
    match (timer.as_mut(), until) {
        (Some(timer), Some(until)) if timer.at() == until => {}
        (Some(timer), Some(until)) => timer.reset(until),
        (None, Some(until)) => *timer = Some(home.timer(until)),
        (_, None) => *timer = None,
    }
}
