use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use http::Request;
use tokio::time::Instant;

use crate::body::{Replay, RequestBody};
use crate::call::{Context, Deadline, Patience};
use crate::classify::Progress;
use crate::error::Error;
use crate::report::{Phase, Trace};

use super::gate::{Caller, Gate, Probe, Seat, Turn};
use super::pending::Pending;
use super::settings::Settings;
use super::watch::Watch;
use super::{News, WaitForReadyPolicy, failure};

/// One call on its way through the gate.
pub(super) struct WaitCall<S, B: RequestBody> {
    gate: Arc<Gate>,
    settings: Arc<Settings>,
    service: S,
    patience: Patience,
    deadline: Option<Deadline>,
    trace: Option<Trace>,
    /// That of the channel in which the attempt went; 0 for none.
    era: u64,
    probe: Option<Probe>,
    seat: Option<Seat>,
    /// How the channel last failed, as far as the call knows.
    last_error: Option<Arc<Error>>,
    /// Its picks of a balanced channel that failed since it last paused.
    failures: u32,
    /// Until when it leaves the channel alone, whatever the gate says.
    pause: Option<Instant>,
    /// Whether it has waited.
    waits: bool,
    request: Pending<B>,
}

/// What a call does next.
pub(super) enum Step<B> {
    /// Hands this to the service.
    Go(Request<B>),
    /// Waits for a change of the gate, at the latest until this instant.
    Wait(Option<Instant>),
    /// Fails.
    Fail(Error),
}

impl<S: Clone, B: RequestBody> WaitCall<S, B> {
    pub(super) fn new(
        gate: Arc<Gate>,
        settings: Arc<Settings>,
        service: S,
        request: Request<B>,
    ) -> Self {
        let (mut parts, body) = request.into_parts();
        let deadline = Context::caller_deadline(&mut parts);
        let context = parts.extensions.get::<Context>();
        let options = context.map(Context::options);
        let patience = settings.policy.patience(parts.uri.path(), options);
        let trace = context.and_then(Context::trace).cloned();
        Self {
            gate,
            settings,
            service,
            patience,
            deadline,
            trace,
            era: 0,
            probe: None,
            seat: None,
            last_error: None,
            failures: 0,
            pause: None,
            waits: false,
            request: Pending::new(parts, body, patience),
        }
    }

    /// Asks the gate, which wakes this one when it changes.
    pub(super) fn step(&mut self, waker: Option<&Waker>) -> Step<B> {
        if let Some(at) = self.pause.take_if(|at| Instant::now() < *at) {
            self.pause = Some(at);
            return self.rest(Some(at), None);
        }
        if self.seat.is_none() && !self.gate.is_open() {
            self.request.measure();
        }
        let caller = Caller {
            patience: self.patience,
            bytes: if self.seat.is_none() {
                self.request.bytes()
            } else {
                0
            },
            waker,
        };
        match self.gate.turn(caller, &mut self.seat, &self.settings) {
            Turn::Go(era) => {
                self.era = era;
                self.go()
            }
            Turn::Test(probe, last_error) => {
                self.era = 0;
                self.probe = Some(probe);
                self.last_error = last_error;
                match self.expiry() {
                    Some(expiry) => self.fail(expiry),
                    None => self.go(),
                }
            }
            Turn::Wait(until, last_error) => self.rest(until, last_error),
            Turn::NotReady(last_error) => self.fail(failure::not_ready(last_error)),
            Turn::Full(last_error) => self.fail(failure::queue_full(last_error)),
            Turn::Shutdown(last_error) => self.fail(failure::shut_down(last_error)),
        }
    }

    /// The attempt is under way: that of a probe waits for the channel until the gate opens.
    pub(super) fn goes_on(&mut self) {
        let (Some(trace), Some(probe)) = (&self.trace, &self.probe) else {
            return;
        };
        if self.gate.is_tested_by(probe) {
            trace.enter(Phase::NotReady);
            if let Some(error) = self.last_error.take() {
                trace.not_ready(error);
            }
        }
    }

    /// An attempt failed: whether the call goes on, or its error.
    pub(super) fn after(&mut self, error: Error) -> Result<(), Error> {
        let probe = self.probe.take();
        let settings = &*self.settings;
        match WaitForReadyPolicy::news(&error.verdict()) {
            News::NotConnected => {
                self.gate.failed(self.era, probe, &error, settings);
                if let Some(trace) = &self.trace {
                    trace.came_back(false);
                }
                if self.request.goes_again() {
                    self.pause(error);
                    return Ok(());
                }
            }
            News::Disconnected => {
                let test = probe.as_ref().map(|probe| probe.number);
                self.gate.lost(self.era, test, settings);
            }
            News::Connected => {
                let test = probe.as_ref().map(|probe| probe.number);
                self.gate.answered(test, &settings.policy);
            }
            News::ShutDown => self.gate.shut_down(probe, &error),
            News::Nothing => {}
        }
        self.seat = None;
        Err(error)
    }

    /// The server answered; what watches the connection while the answer is read.
    pub(super) fn answered(&mut self) -> Watch {
        let test = self.probe.as_ref().map(|probe| probe.number);
        self.gate.answered(test, &self.settings.policy);
        self.probe = None;
        self.seat = None;
        Watch::new(&self.gate, &self.settings, self.era, test)
    }

    /// A service for the next attempt; its readiness is unknown.
    pub(super) fn service(&self) -> S {
        self.service.clone()
    }

    fn go(&mut self) -> Step<B> {
        match self.request.next() {
            Some(request) => Step::Go(self.watched(request)),
            None => self.fail(failure::spent()),
        }
    }

    fn rest(&mut self, until: Option<Instant>, last_error: Option<Arc<Error>>) -> Step<B> {
        self.note_wait(last_error);
        match self.expiry() {
            Some(expiry) => self.fail(expiry),
            None => Step::Wait(self.earliest(until)),
        }
    }

    /// One pick after the other of a balanced channel may fail while others' are answered: then this
    /// call by itself leaves it alone for a while.
    fn pause(&mut self, error: Error) {
        let policy = &self.settings.policy;
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(Arc::new(error.unreported()));
        if !policy.is_single() && policy.is_down(self.failures) {
            let unit = self.settings.rng.unit();
            let wait = policy.next_dial(1, Duration::ZERO, unit);
            self.failures = 0;
            self.pause = Instant::now().checked_add(wait);
        }
    }

    fn fail(&mut self, error: Error) -> Step<B> {
        self.probe = None;
        self.seat = None;
        Step::Fail(error)
    }

    /// That of a call whose deadline passed while it waited.
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

    fn note_wait(&mut self, last_error: Option<Arc<Error>>) {
        self.last_error = last_error.or(self.last_error.take());
        if let (Some(trace), Some(error)) = (&self.trace, &self.last_error) {
            trace.not_ready(error.clone());
        }
        let waited = std::mem::replace(&mut self.waits, true);
        if !waited {
            self.request.waits();
        }
        match &self.trace {
            Some(trace) if waited => trace.enter(Phase::NotReady),
            Some(trace) => trace.waits(Phase::NotReady),
            None => {}
        }
    }

    /// A probe's request opens the gate as soon as the transport reads it, so that a slow handler
    /// does not hold the others.
    fn watched(&self, request: Request<B>) -> Request<B> {
        let Some(probe) = &self.probe else {
            return request;
        };
        let (gate, settings) = (Arc::clone(&self.gate), Arc::clone(&self.settings));
        let (number, trace) = (probe.number, self.trace.clone());
        request.map(|body| {
            B::from_replay(Replay::noting(body, move || {
                gate.opened(number, &settings.policy);
                if let Some(trace) = trace {
                    trace.enter(Phase::Attempt);
                }
            }))
        })
    }
}
