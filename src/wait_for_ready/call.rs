use std::sync::Arc;

use http::Request;
use http::request::Parts;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use crate::body::{Recording, Replay, RequestBody};
use crate::call::{Context, Deadline, Patience};
use crate::classify::{Progress, Reason};
use crate::error::{Error, GiveUp};
use crate::grpc::Code;
use crate::report::{Phase, Trace};

use super::WaitForReadyPolicy;
use super::gate::{Entry, Gate, Probe};

/// One call on its way through the gate.
pub(super) struct WaitCall<S, B: RequestBody> {
    gate: Arc<Gate>,
    service: S,
    patience: Patience,
    deadline: Option<Deadline>,
    trace: Option<Trace>,
    probe: Option<Probe>,
    /// What the probe finds mended, or not.
    tested_after: Option<Arc<Error>>,
    /// Whether it has waited at a closed gate.
    waits: bool,
    request: Pending<B>,
}

/// What is left to send.
enum Pending<B: RequestBody> {
    /// The request of a call that does not wait.
    Once(Request<B>),
    /// Kept for the dials to come whatever its size: it was never sent.
    Kept(Parts, Recording<B>),
    /// It was handed on.
    Spent,
}

/// What a call does next.
pub(super) enum Step<B> {
    /// Hands this to the service.
    Go(Request<B>),
    /// Waits for a change of the gate, at the latest until this instant.
    Wait(Instant),
    /// Fails.
    Fail(Error),
}

impl<S: Clone, B: RequestBody> WaitCall<S, B> {
    pub(super) fn new(gate: Arc<Gate>, service: S, request: Request<B>) -> Self {
        let (mut parts, body) = request.into_parts();
        let deadline = Context::caller_deadline(&mut parts);
        let context = parts.extensions.get::<Context>();
        let patience = gate.policy().patience(context.map(Context::options));
        let trace = context.and_then(Context::trace).cloned();
        // The body as it is here: a layer above may have changed what the caller sent.
        let request = match patience {
            Patience::WaitForReady => Pending::Kept(parts, Recording::until_read(body)),
            Patience::FailFast => Pending::Once(Request::from_parts(parts, body)),
        };
        Self {
            gate,
            service,
            patience,
            deadline,
            trace,
            probe: None,
            tested_after: None,
            waits: false,
            request,
        }
    }

    /// Wakes when the gate changes.
    pub(super) fn changed(&self) -> OwnedNotified {
        self.gate.changed()
    }

    /// Asks the gate.
    pub(super) fn step(&mut self) -> Step<B> {
        let (next_dial, last_error) = match self.gate.enter() {
            Entry::Open => return self.go(),
            Entry::Probe(probe, last_error) => {
                self.probe = Some(probe);
                self.tested_after = Some(Arc::clone(&last_error));
                (None, last_error)
            }
            Entry::Closed(next_dial, last_error) => (Some(next_dial), last_error),
        };
        if self.probe.is_none() && self.patience == Patience::FailFast {
            return Step::Fail(not_ready(last_error));
        }
        if let (Some(trace), Some(_)) = (&self.trace, next_dial) {
            trace.not_ready(last_error.clone());
            if std::mem::replace(&mut self.waits, true) {
                trace.enter(Phase::NotReady);
            } else {
                trace.waits(Phase::NotReady);
            }
        }
        let deadline = self.deadline;
        if let Some(passed) = deadline.filter(|it| it.remaining(Instant::now()).is_zero()) {
            self.probe = None;
            let progress = self
                .trace
                .as_ref()
                .map_or(Progress::NotSent, Trace::progress);
            let error = Error::expired(passed, Phase::NotReady, progress, Some(last_error));
            return Step::Fail(error);
        }
        match next_dial {
            Some(next) => Step::Wait(deadline.map_or(next, |deadline| next.min(deadline.at()))),
            None => self.go(),
        }
    }

    /// The attempt is under way: that of a probe waits for the channel until the gate opens.
    pub(super) fn goes_on(&mut self) {
        let (Some(trace), Some(probe)) = (&self.trace, &self.probe) else {
            return;
        };
        if self.gate.is_tested_by(probe) {
            trace.enter(Phase::NotReady);
            if let Some(error) = self.tested_after.take() {
                trace.not_ready(error);
            }
        }
    }

    /// An attempt failed: whether the call goes on, or its error.
    pub(super) fn after(&mut self, error: Error) -> Result<(), Error> {
        let probe = self.probe.take();
        if !WaitForReadyPolicy::is_failed_connect(&error.verdict()) {
            if WaitForReadyPolicy::shows_a_connection(&error.verdict()) {
                self.gate.opened();
            }
            return Err(error);
        }
        self.gate.failed(&error, probe);
        if let Some(trace) = &self.trace {
            trace.came_back(false);
        }
        match &mut self.request {
            Pending::Kept(_, recording) if recording.lost().is_none() => {
                recording.end_attempt();
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// The server answered.
    pub(super) fn answered(&mut self) {
        self.gate.opened();
        self.probe = None;
    }

    /// A service for the next attempt; its readiness is unknown.
    pub(super) fn service(&self) -> S {
        self.service.clone()
    }

    fn go(&mut self) -> Step<B> {
        let request = match std::mem::replace(&mut self.request, Pending::Spent) {
            Pending::Once(request) => request,
            Pending::Kept(parts, mut recording) => {
                let request = Request::from_parts(parts.clone(), recording.attempt());
                self.request = Pending::Kept(parts, recording);
                request
            }
            Pending::Spent => return Step::Fail(spent()),
        };
        Step::Go(self.watched(request))
    }

    /// A probe's request opens the gate as soon as the transport reads it, so that a slow handler
    /// does not hold the others.
    fn watched(&self, request: Request<B>) -> Request<B> {
        if self.probe.is_none() {
            return request;
        }
        let (gate, trace) = (Arc::clone(&self.gate), self.trace.clone());
        request.map(|body| {
            B::from_replay(Replay::noting(body, move || {
                gate.opened();
                if let Some(trace) = trace {
                    trace.enter(Phase::Attempt);
                }
            }))
        })
    }
}

fn not_ready(last_error: Arc<Error>) -> Error {
    let message = format!(
        "the channel is not ready: {}",
        last_error.status().message()
    );
    Error::local(Code::Unavailable, Reason::NotReady, message)
        .caused_by(Some(last_error))
        .given_up(GiveUp::NotReady, 0)
}

fn spent() -> Error {
    let message = "the request was handed on already";
    Error::local(Code::Unavailable, Reason::NotReady, message).given_up(GiveUp::NotReady, 0)
}
