use std::sync::Arc;

use tokio::time::Instant;

use crate::classify::{Progress, Verdict};
use crate::grpc::Code;
use crate::sync::Mutex;

use super::record::{Record, SharedError};
use super::{CallReport, GiveUp, Phase};

/// Where the layers that a call passes write what happens to it; [`report`](Self::report) reads it.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Record>>);

impl Trace {
    /// Says what the call does from now on.
    pub fn enter(&self, phase: Phase) {
        let mut record = self.0.lock();
        // Layers say the same one after the other, and the clock need not be asked for that.
        if record.phase() != phase {
            record.enter(phase, Instant::now());
        }
    }

    /// What the call does now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.lock().phase()
    }

    /// What happened so far, and goes on to happen.
    #[must_use]
    pub fn report(&self) -> CallReport {
        CallReport::new(Arc::clone(&self.0))
    }

    /// Keeps an error that the call did not end with.
    pub fn failed(&self, error: Arc<dyn std::error::Error + Send + Sync>) {
        let before = self.0.lock().keep(error);
        drop(before);
    }

    /// The last error that the call did not end with.
    #[must_use]
    pub fn last_failure(&self) -> Option<Arc<dyn std::error::Error + Send + Sync>> {
        self.0.lock().last_failure()
    }
}

/// For the layers of this crate.
impl Trace {
    pub(crate) fn attempts(&self) -> u32 {
        self.0.lock().attempts()
    }

    /// How far the call certainly got, before it has an answer.
    pub(crate) fn progress(&self) -> Progress {
        self.0.lock().progress()
    }

    /// This attempt begins, counted from 1; or goes once more, which counts for nothing.
    pub(crate) fn attempt(&self, number: u32, transparent: bool) {
        self.0.lock().attempt(number, transparent, Instant::now());
    }

    /// The attempt failed.
    pub(crate) fn attempt_failed(&self, verdict: Verdict) {
        self.0.lock().attempt_failed(verdict, Instant::now());
    }

    /// A failure after which the call waits, in this phase.
    pub(crate) fn waits_after(&self, error: SharedError, phase: Phase) {
        let before = self.0.lock().wait(error, phase, Instant::now());
        // Not under the lock: what an error holds may ask for it when it is dropped.
        drop(before);
    }

    /// How the call ended; who says so last is right, for the outermost layer does.
    pub(crate) fn ended(&self, code: Code, give_up: Option<GiveUp>) {
        self.0.lock().end(code, give_up);
    }

    /// The answer is at its end, and said no more than its head may have.
    pub(crate) fn ended_without_status(&self) {
        self.0.lock().end_without_status();
    }

    /// Takes the call in hand until the guard is dropped.
    pub(crate) fn hold(&self) -> Held {
        Held {
            is_outermost: self.0.lock().hold(Instant::now()),
            trace: self.clone(),
        }
    }
}

/// A layer has the call in hand. When no layer has it any more it is over.
#[derive(Debug)]
pub(crate) struct Held {
    trace: Trace,
    is_outermost: bool,
}

impl Held {
    /// Whether no layer had it in hand before: calls go from the outermost layer inwards.
    pub(crate) fn is_outermost(&self) -> bool {
        self.is_outermost
    }
}

impl std::ops::Deref for Held {
    type Target = Trace;

    fn deref(&self) -> &Trace {
        &self.trace
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.trace.0.lock().release(Instant::now());
    }
}
