use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::body::RequestBody;
use crate::call::{self, Deadline, WaitMode};
use crate::dispatch::{Readied, Recorder, Spare, guard, hold};
use crate::error::{BoxError, Error};
use crate::events;

use super::call::{Step, WaitCall};
use super::pending::Pending;
use super::{Readiness, ResponseFuture, WaitBody};
use crate::ready::Gate;
use crate::ready::OFTEN;
use crate::ready::Polled;
use crate::ready::Ticket;

/// The service of [`WaitForReadyLayer`](super::WaitForReadyLayer).
#[derive(Clone, Debug)]
pub struct WaitForReady<S> {
    inner: Readied<S>,
    spare: Arc<Spare<S>>,
    gate: Arc<Gate>,
}

impl<S: Clone> WaitForReady<S> {
    pub(super) fn new(inner: S, gate: Gate) -> Self {
        Self {
            spare: Arc::new(Spare::new(inner.clone())),
            inner: Readied::new(inner),
            gate: Arc::new(gate),
        }
    }
}

impl<S> WaitForReady<S> {
    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        self.inner.get_ref()
    }

    /// The inner service, without the layer.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner.into_inner()
    }

    /// The gate that its calls pass.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }
}

impl<S> WaitForReady<S> {
    /// The state of the channel, as its calls have shown it.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        Readiness::of(&self.gate.state)
    }
}

impl<S> WaitForReady<S> {
    pub(crate) fn inner_mut(&mut self) -> &mut Readied<S> {
        &mut self.inner
    }
}

impl<S, B, R> Service<Request<B>> for WaitForReady<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<WaitBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll(cx);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture<S, B> {
        self.gate.state.home.note();
        let deadline = call::Context::caller_deadline(&mut request);
        let context = request.extensions().get::<call::Context>();
        let options = context.map(call::Context::options);
        if let Some(context) = context {
            context.seen_by(call::Reader::Wait);
            context.include_waits();
        }
        let policy = &self.gate.settings.policy;
        let wait_mode = policy.wait_mode(request.uri().path(), options);
        // The failed picks of a call on a balanced channel are counted in this layer's own state.
        let is_kept = policy.is_single() && context.is_some_and(call::Context::is_kept);
        let returns = context.map_or(0, call::Context::returns);
        let recorder = Recorder::of(&request);
        let generation = self.gate.state.generation();
        match (generation.filter(|_| returns < OFTEN), wait_mode) {
            (Some(generation), WaitMode::WaitForReady) if !is_kept => {
                self.go(request, deadline, generation.get(), recorder)
            }
            (Some(generation), wait_mode) => {
                let hands_back = wait_mode == WaitMode::WaitForReady;
                let ticket = Ticket::new(&self.gate, generation.get()).handing_back(hands_back);
                let guard = guard(&mut request);
                let attempt = self.inner.attempt(request, recorder.trace(), Instant::now);
                ResponseFuture::going(attempt, ticket, None, recorder).guarding(guard)
            }
            (None, wait_mode) => self.ask(request, deadline, wait_mode, recorder),
        }
    }
}

impl<S: Clone> WaitForReady<S> {
    /// Sends a call at once, which waits if it was not sent.
    fn go<B>(
        &mut self,
        mut request: Request<B>,
        deadline: Option<Deadline>,
        generation: u64,
        recorder: Recorder,
    ) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
        B: RequestBody,
    {
        let trace = recorder.trace().cloned();
        let mut kept = Pending::of(&mut request);
        if !kept.is_whole() && self.gate.state.leaves_wait() {
            // A stream that the channel has begun to read can't come back here to wait.
            call::Context::of(request.extensions_mut()).wait_below();
            kept.wait_below();
        }
        let spare = Arc::clone(&self.spare);
        let call = WaitCall::new(spare, WaitMode::WaitForReady, deadline, trace, kept);
        let ticket = Ticket::new(&self.gate, generation);
        let attempt = self.inner.attempt(request, recorder.trace(), Instant::now);
        ResponseFuture::going(attempt, ticket, Some(call), recorder)
    }

    /// Starts a call that asks the gate first.
    fn ask<B>(
        &mut self,
        mut request: Request<B>,
        deadline: Option<Deadline>,
        wait_mode: WaitMode,
        recorder: Recorder,
    ) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
        B: RequestBody,
    {
        let context = call::Context::of(request.extensions_mut());
        if context.hold() && !context.is_in_two_stacks() {
            let settings = &self.gate.settings;
            settings.below_another.say(events::wait_below_wait);
        }
        let mark = context.ask_channel();
        // The gate may keep the request from the layers below.
        hold(&request, true);
        let trace = recorder.trace().cloned();
        let pending = Pending::new(request, wait_mode);
        let mut call = WaitCall::new(Arc::clone(&self.spare), wait_mode, deadline, trace, pending);
        let mut ticket = Ticket::new(&self.gate, 0);
        match call.step(&mut ticket, None) {
            Step::Go(request) => {
                hold(&request, false);
                let _polled = ticket.probe.as_ref().map(Polled::now);
                let attempt = self.inner.attempt(request, recorder.trace(), Instant::now);
                if mark.is_set() {
                    // The calls that follow need not wait for this one.
                    ticket.stand_idle();
                }
                ResponseFuture::going(attempt, ticket, Some(call), recorder)
            }
            Step::Wait(_) => {
                self.inner.release();
                ResponseFuture::waiting(ticket, call, recorder)
            }
            Step::Fail(error) => {
                self.inner.release();
                let error = recorder.decided(call.path(), error);
                ResponseFuture::failed(error, ticket, recorder)
            }
        }
    }
}
