use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use http::Request;
use tokio::time::Instant;

use crate::body::{OpenRequest, Replay, RequestBody};
use crate::call::{Deadline, Patience};
use crate::classify::Progress;
use crate::dispatch::Spare;
use crate::error::Error;
use crate::events;
use crate::grpc::method_of;
use crate::report::{Phase, Trace};

use super::door::Door;
use super::gate::{Caller, Seat, Turn};
use super::pass::Pass;
use super::pending::Pending;
use super::{News, failure};

/// One call that waits for the channel, or may have to.
pub(crate) struct WaitCall<S, B: RequestBody> {
    spare: Arc<Spare<S>>,
    patience: Patience,
    deadline: Option<Deadline>,
    trace: Option<Trace>,
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
    /// A call that takes the services of its later attempts from there.
    pub(super) fn new(
        spare: Arc<Spare<S>>,
        patience: Patience,
        deadline: Option<Deadline>,
        trace: Option<Trace>,
        request: Pending<B>,
    ) -> Self {
        Self {
            spare,
            patience,
            deadline,
            trace,
            seat: None,
            last_error: None,
            failures: 0,
            pause: None,
            waits: false,
            request,
        }
    }

    /// Asks the gate, which wakes this one when it changes.
    pub(super) fn step(&mut self, pass: &mut Pass, waker: Option<&Waker>) -> Step<B> {
        if let Some(at) = self.pause.take_if(|at| Instant::now() < *at) {
            self.pause = Some(at);
            return self.rest(Some(at), None);
        }
        let Door { gate, settings } = &*pass.door;
        if self.seat.is_none() && !gate.is_open() {
            self.request.measure();
        }
        let caller = Caller {
            patience: self.patience,
            bytes: if self.seat.is_none() {
                self.request.bytes()
            } else {
                0
            },
            returns: self.request.returns(),
            waker,
        };
        match gate.turn(caller, &mut self.seat, settings) {
            Turn::Go(era) => {
                pass.era = era;
                self.go(pass)
            }
            Turn::Test(probe, last_error) => {
                pass.era = 0;
                pass.probe = Some(probe);
                self.last_error = last_error;
                match self.expiry() {
                    Some(expiry) => {
                        pass.probe = None;
                        self.fail(expiry)
                    }
                    None => self.go(pass),
                }
            }
            Turn::Wait(until, last_error) => self.rest(until, last_error),
            Turn::NotReady(last_error) => self.fail(failure::not_ready(last_error)),
            Turn::Full(last_error) => self.fail(failure::queue_full(last_error)),
            Turn::Shutdown(last_error) => self.fail(failure::shut_down(last_error)),
        }
    }

    /// The attempt is under way: that of a probe waits for the channel until the gate opens.
    pub(super) fn goes_on(&mut self, pass: &Pass) {
        let (Some(trace), Some(probe)) = (&self.trace, &pass.probe) else {
            return;
        };
        if pass.door.gate.is_tested_by(probe) {
            trace.enter(Phase::NotReady);
            if let Some(error) = self.last_error.take() {
                trace.not_ready(error);
            }
        }
    }

    /// An attempt failed: whether the call goes on, or its error.
    pub(super) fn after(&mut self, pass: &mut Pass, error: Error) -> Result<(), Error> {
        let own = self.failures.saturating_add(1);
        let news = pass.failed(&error, own);
        let error = self.request.judge(error);
        if news == News::NotConnected && error.verdict().progress == Progress::NotSent {
            if let Some(trace) = &self.trace {
                trace.came_back(false);
            }
            if self.request.goes_again() {
                if error.is_proven() {
                    self.request.wait_below();
                    self.last_error = Some(Arc::new(error.unreported()));
                } else {
                    self.pause(&pass.door, error);
                }
                return Ok(());
            }
        }
        self.seat = None;
        Err(error)
    }

    /// The attempt was answered: its request goes on, and none follows.
    pub(super) fn answered(mut self) -> Option<OpenRequest> {
        self.request.answered()
    }

    /// A service for the next attempt; its readiness is unknown.
    pub(super) fn service(&self) -> S {
        self.spare.service()
    }

    fn go(&mut self, pass: &mut Pass) -> Step<B> {
        let Some(request) = self.request.next() else {
            pass.probe = None;
            return self.fail(failure::spent());
        };
        Step::Go(self.watched(pass, request))
    }

    fn rest(&mut self, until: Option<Instant>, last_error: Option<Arc<Error>>) -> Step<B> {
        self.note_wait(until, last_error);
        match self.expiry() {
            Some(expiry) => self.fail(expiry),
            None => Step::Wait(self.earliest(until)),
        }
    }

    /// One pick after the other of a balanced channel may fail while others' are answered: then this
    /// call by itself leaves it alone for a while.
    fn pause(&mut self, door: &Door, error: Error) {
        let Door { gate, settings } = door;
        let policy = &settings.policy;
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(Arc::new(error.unreported()));
        let now = Instant::now();
        let is_several = gate.read(|shared| shared.channel.is_several(policy, now));
        if is_several && self.failures >= policy.picks() {
            let unit = settings.rng.unit();
            let wait = policy.next_dial(1, Duration::ZERO, Duration::ZERO, unit);
            self.failures = 0;
            self.pause = now.checked_add(wait);
        }
    }

    /// Nobody can wake it in time (CONTRACT D13).
    #[cold]
    pub(super) fn without_runtime(&mut self) -> Error {
        self.seat = None;
        let progress = self.trace.as_ref().map(Trace::progress);
        let error = Error::without_runtime(progress.unwrap_or(Progress::NotSent));
        error.caused_by(self.last_error.take().map(|last| last as _))
    }

    fn fail(&mut self, error: Error) -> Step<B> {
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

    fn note_wait(&mut self, until: Option<Instant>, last_error: Option<Arc<Error>>) {
        self.last_error = last_error.or(self.last_error.take());
        if let (Some(trace), Some(error)) = (&self.trace, &self.last_error) {
            trace.not_ready(error.clone());
        }
        let waited = std::mem::replace(&mut self.waits, true);
        if !waited {
            self.tell_wait(until);
            self.request.waits();
        }
        match &self.trace {
            Some(trace) if waited => trace.enter(Phase::NotReady),
            Some(trace) => trace.waits(Phase::NotReady),
            None => {}
        }
    }

    /// Told once a call, however many dials it waits for.
    #[cold]
    fn tell_wait(&self, until: Option<Instant>) {
        let delay = until.map(|at| at.saturating_duration_since(Instant::now()));
        let failed = self.last_error.as_ref().map(|error| error.event());
        let method = method_of(self.request.path().unwrap_or_default());
        events::waits(method, self.request.attempt(), failed, delay);
    }

    /// The path of its request, as long as that was not handed on for good.
    pub(super) fn path(&self) -> Option<&str> {
        self.request.path()
    }

    /// A probe's request opens the gate as soon as the transport reads it, so that a slow handler
    /// does not hold the others.
    fn watched(&self, pass: &Pass, request: Request<B>) -> Request<B> {
        let Some(probe) = &pass.probe else {
            return request;
        };
        let door = Arc::clone(&pass.door);
        let (number, trace) = (probe.number, self.trace.clone());
        request.map(|body| {
            B::from_replay(Replay::noting(body, move || {
                let by_itself = door.gate.is_polled_here(number);
                door.gate.read_by(number, by_itself, &door.settings.policy);
                if let Some(trace) = trace {
                    trace.enter(Phase::Attempt);
                }
            }))
        })
    }
}
