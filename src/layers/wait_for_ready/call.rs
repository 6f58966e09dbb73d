use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use http::Request;
use tokio::time::Instant;

use crate::body::{OpenRequest, Replay, RequestBody};
use crate::call::{Deadline, WaitMode};
use crate::classify::Progress;
use crate::dispatch::Spare;
use crate::error::Error;
use crate::events;
use crate::methods::method_of;
use crate::report::{Phase, Trace};

use super::pending::Pending;
use crate::ready::Gate;
use crate::ready::Ticket;
use crate::ready::{Caller, Decision, Place};
use crate::ready::{Evidence, failure};

/// A call that waits for the channel, or may have to wait.
pub(crate) struct WaitCall<S, B: RequestBody> {
    spare: Arc<Spare<S>>,
    wait_mode: WaitMode,
    deadline: Option<Deadline>,
    trace: Option<Trace>,
    place: Option<Place>,
    last_error: Option<Arc<Error>>,
    /// Failed picks of a balanced channel since the last pause.
    failures: u32,
    /// The end of the current pause, during which the call does not use the channel.
    pause: Option<Instant>,
    waits: bool,
    request: Pending<B>,
}

/// The next step of a call.
pub(super) enum Step<B> {
    Go(Request<B>),
    /// Wait for a change of the gate, at most until this instant.
    Wait(Option<Instant>),
    Fail(Error),
}

impl<S: Clone, B: RequestBody> WaitCall<S, B> {
    /// A call whose later attempts take their services from `spare`.
    pub(super) fn new(
        spare: Arc<Spare<S>>,
        wait_mode: WaitMode,
        deadline: Option<Deadline>,
        trace: Option<Trace>,
        request: Pending<B>,
    ) -> Self {
        Self {
            spare,
            wait_mode,
            deadline,
            trace,
            place: None,
            last_error: None,
            failures: 0,
            pause: None,
            waits: false,
            request,
        }
    }

    /// Asks the gate for the next step. The gate wakes `waker` when it changes.
    pub(super) fn step(&mut self, ticket: &mut Ticket, waker: Option<&Waker>) -> Step<B> {
        if let Some(at) = self.pause.take_if(|at| Instant::now() < *at) {
            self.pause = Some(at);
            return self.rest(Some(at), None);
        }
        let Gate { state, settings } = &*ticket.gate;
        if self.place.is_none() && !state.is_open() {
            self.request.measure();
        }
        let caller = Caller {
            wait_mode: self.wait_mode,
            bytes: if self.place.is_none() {
                self.request.bytes()
            } else {
                0
            },
            returns: self.request.returns(),
            waker,
        };
        match state.turn(caller, &mut self.place, settings) {
            Decision::Go(generation) => {
                ticket.generation = generation;
                self.go(ticket)
            }
            Decision::Probe(probe, last_error) => {
                ticket.generation = 0;
                ticket.probe = Some(probe);
                self.last_error = last_error;
                match self.expiry() {
                    Some(expiry) => {
                        ticket.probe = None;
                        self.fail(expiry)
                    }
                    None => self.go(ticket),
                }
            }
            Decision::Wait(until, last_error) => self.rest(until, last_error),
            Decision::NotReady(last_error) => self.fail(failure::not_ready(last_error)),
            Decision::Full(last_error) => self.fail(failure::queue_full(last_error)),
            Decision::Shutdown(last_error) => self.fail(failure::shut_down(last_error)),
        }
    }

    /// Called while the attempt is under way. The attempt of a probe waits for the channel until
    /// the gate opens.
    pub(super) fn goes_on(&mut self, ticket: &Ticket) {
        let (Some(trace), Some(probe)) = (&self.trace, &ticket.probe) else {
            return;
        };
        if ticket.gate.state.is_probed_by(probe) {
            trace.enter(Phase::NotReady);
            if let Some(error) = self.last_error.take() {
                trace.not_ready(error);
            }
        }
    }

    /// Called when an attempt failed. `Ok`: the call goes on.
    pub(super) fn after(&mut self, ticket: &mut Ticket, error: Error) -> Result<(), Error> {
        let error = ticket.hinted(error);
        let own = self.failures.saturating_add(1);
        let evidence = ticket.failed(&error, own);
        let error = self.request.judge(error);
        if evidence == Evidence::NotConnected && error.verdict().progress == Progress::NotSent {
            if let Some(trace) = &self.trace {
                trace.came_back(false);
            }
            if self.request.goes_again() {
                if error.is_proven() {
                    self.request.wait_below();
                    self.last_error = Some(Arc::new(error.unreported()));
                } else {
                    self.pause(&ticket.gate, error);
                }
                return Ok(());
            }
        }
        self.place = None;
        Err(error)
    }

    /// Called when the attempt was answered: its request goes on, and no attempt follows.
    pub(super) fn answered(mut self) -> Option<OpenRequest> {
        self.request.answered()
    }

    /// A service for the next attempt; its readiness is unknown.
    pub(super) fn service(&self) -> S {
        self.spare.service()
    }

    fn go(&mut self, ticket: &mut Ticket) -> Step<B> {
        let Some(request) = self.request.next() else {
            ticket.probe = None;
            return self.fail(failure::spent());
        };
        Step::Go(self.watched(ticket, request))
    }

    fn rest(&mut self, until: Option<Instant>, last_error: Option<Arc<Error>>) -> Step<B> {
        self.note_wait(until, last_error);
        match self.expiry() {
            Some(expiry) => self.fail(expiry),
            None => Step::Wait(self.earliest(until)),
        }
    }

    /// Pauses the call if its picks of a balanced channel keep failing, because other calls may be
    /// answered meanwhile and keep the gate open.
    fn pause(&mut self, gate: &Gate, error: Error) {
        let Gate { state, settings } = gate;
        let policy = &settings.policy;
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(Arc::new(error.unreported()));
        let now = Instant::now();
        let is_several = state.read(|shared| shared.channel.is_several(policy, now));
        if is_several && self.failures >= policy.picks() {
            let unit = settings.rng.unit();
            let wait = policy.next_dial(1, Duration::ZERO, Duration::ZERO, unit);
            self.failures = 0;
            self.pause = now.checked_add(wait);
        }
    }

    /// The call fails, because no timer can wake it in time (CONTRACT D13).
    #[cold]
    pub(super) fn without_runtime(&mut self) -> Error {
        self.place = None;
        let progress = self.trace.as_ref().map(Trace::progress);
        let error = Error::without_runtime(progress.unwrap_or(Progress::NotSent));
        error.caused_by(self.last_error.take().map(|last| last as _))
    }

    fn fail(&mut self, error: Error) -> Step<B> {
        self.place = None;
        Step::Fail(error)
    }

    /// The error of a call whose deadline passed while it waited.
    fn expiry(&self) -> Option<Error> {
        let passed = self
            .deadline
            .filter(|it| it.remaining(Instant::now()).is_zero())?;
        let progress = self.trace.as_ref().map(Trace::progress);
        let progress = progress.unwrap_or(Progress::NotSent);
        let last = self.last_error.clone().map(|error| error as _);
        Some(Error::expired(passed, Phase::NotReady, progress, last))
    }

    fn earliest(&self, until: Option<Instant>) -> Option<Instant> {
        let deadline = self.deadline.map(|deadline| deadline.at());
        [until, deadline].into_iter().flatten().min()
    }

    fn note_wait(&mut self, until: Option<Instant>, last_error: Option<Arc<Error>>) {
        self.last_error = last_error.or(self.last_error.take());
        if let (Some(trace), Some(error)) = (&self.trace, &self.last_error) {
            trace.not_ready(error.clone());
        }
        let waited = std::mem::replace(&mut self.waits, true);
        if !waited {
            if self.trace.as_ref().is_none_or(Trace::tells_wait) {
                self.tell_wait(until);
            }
            self.request.waits();
        }
        match &self.trace {
            Some(trace) if waited => trace.enter(Phase::NotReady),
            Some(trace) => trace.waits(Phase::NotReady),
            None => {}
        }
    }

    /// Logs the wait, for any number of dials.
    #[cold]
    fn tell_wait(&self, until: Option<Instant>) {
        let delay = until.map(|at| at.saturating_duration_since(Instant::now()));
        let failed = self.last_error.as_ref().map(|error| error.event());
        let method = method_of(self.request.path().unwrap_or_default());
        events::waits(method, self.request.attempt(), failed, delay);
    }

    /// The path of the request, until the request was handed on for good.
    pub(super) fn path(&self) -> Option<&str> {
        self.request.path()
    }

    /// Opens the gate as soon as the transport reads a probe's request, so that a slow handler does
    /// not delay the other calls.
    fn watched(&self, ticket: &Ticket, request: Request<B>) -> Request<B> {
        let Some(probe) = &ticket.probe else {
            return request;
        };
        let gate = Arc::clone(&ticket.gate);
        let (number, trace) = (probe.number, self.trace.clone());
        request.map(|body| {
            B::from_replay(Replay::noting(body, move || {
                let by_itself = gate.state.is_polled_here(number);
                gate.state.read_by(number, by_itself, &gate.settings.policy);
                if let Some(trace) = trace {
                    trace.enter(Phase::Attempt);
                }
            }))
        })
    }
}
