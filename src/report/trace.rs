use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;
use tokio::time::Instant;

use crate::classify::{Progress, Verdict};
use crate::grpc::Code;
use crate::kernel::sync::Mutex;

use super::record::{Record, SharedError};
use super::{CallReport, GiveUp, Phase};

/// Where the layers that a call passes write what happens to it; [`report`](Self::report) reads it.
///
/// Once the call is over nothing is written any more, whoever is still at work on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Arc<Mutex<Record>>);

impl Trace {
    /// Says what the call does from now on.
    pub(crate) fn enter(&self, phase: Phase) {
        self.enter_at(phase, Instant::now);
    }

    /// What the call does now.
    #[must_use]
    pub(crate) fn phase(&self) -> Phase {
        self.0.lock().phase()
    }

    /// What happened so far, and goes on to happen.
    #[must_use]
    pub(crate) fn report(&self) -> CallReport {
        CallReport::new(Arc::clone(&self.0))
    }

    /// The last error that the call did not end with.
    #[must_use]
    pub(crate) fn last_failure(&self) -> Option<Arc<dyn std::error::Error + Send + Sync>> {
        self.0.lock().last_failure()
    }

    /// What is dropped by it is given back, to be dropped without the lock: an error may hold anything.
    fn write<T: Default>(&self, write: impl FnOnce(&mut Record) -> T) -> T {
        let mut record = self.0.lock();
        if record.is_over() {
            return T::default();
        }
        write(&mut record)
    }
}

/// For the layers of this crate, each of which needs some of it.
impl Trace {
    /// That of a call which begins now, and which nobody listened to before.
    pub(crate) fn begun(path: Option<PathAndQuery>, now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Record::begun(path, now))))
    }

    /// The path of the request, if a layer has the call in hand.
    pub(crate) fn path(&self) -> Option<PathAndQuery> {
        self.0.lock().path()
    }

    /// That of a call which nobody followed so far: it began then, with an attempt that went at once.
    pub(crate) fn under_way(path: Option<PathAndQuery>, began: Instant) -> Self {
        let trace = Self::begun(path, began);
        trace.attempt_begins(1, false, began);
        trace.enter_at(Phase::Attempt, || began);
        trace
    }

    /// The answer began then; nothing is told of it yet.
    pub(crate) fn answered_at(&self, at: Instant) {
        self.write(|record| record.answered(None, at));
    }

    /// The same as [`enter`](Self::enter), by a clock that is asked only if that is news: layers say the
    /// same one after the other.
    pub(crate) fn enter_at(&self, phase: Phase, now: impl FnOnce() -> Instant) {
        self.write(|record| {
            if record.phase() == phase {
                record.reaches(phase);
            } else {
                record.enter(phase, now());
            }
        });
    }

    /// When the request was last handed to an inner service.
    pub(crate) fn handed_on(&self) -> Option<Instant> {
        self.0.lock().handed_on()
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.0.lock().attempts
    }

    /// How far the call got: not sent for certain, or else perhaps further than that.
    pub(crate) fn progress(&self) -> Progress {
        self.0.lock().progress()
    }

    /// This attempt is next, counted from 1; or the same once more, which counts for nothing.
    pub(crate) fn attempt(&self, number: u32, transparent: bool) {
        self.write(|record| record.attempt(number, transparent));
    }

    /// The attempt goes now.
    pub(crate) fn attempt_began(&self, now: Instant) {
        self.write(|record| record.attempt_began(now));
    }

    /// The same of one of which nobody was told.
    pub(crate) fn attempt_begins(&self, number: u32, transparent: bool, now: Instant) {
        self.write(|record| {
            record.attempt(number, transparent);
            record.attempt_began(now);
        });
    }

    /// The attempt failed.
    pub(crate) fn attempt_failed(&self, verdict: Verdict) {
        self.write(|record| record.attempt_failed(verdict, Instant::now()));
    }

    /// The request is not under way any more.
    pub(crate) fn came_back(&self, may_have_run: bool) {
        self.write(|record| record.came_back(may_have_run));
    }

    /// A failure that the call does not end with.
    pub(crate) fn failed(&self, error: SharedError) {
        drop(self.write(|record| record.keep(error)));
    }

    /// Why the channel is not ready.
    pub(crate) fn not_ready(&self, error: SharedError) {
        drop(self.write(|record| record.keep_not_ready(error)));
    }

    /// The call waits from now on.
    pub(crate) fn waits(&self, phase: Phase) {
        self.write(|record| record.waits(phase, Instant::now()));
    }

    /// A layer does not act on the call, for this reason.
    pub(crate) fn passes(&self, reason: GiveUp) {
        self.write(|record| record.passes(reason));
    }

    /// Takes the call in hand, unless a layer further out has it.
    pub(crate) fn own(&self, uri: &Uri) -> bool {
        let mut record = self.0.lock();
        if record.is_owned {
            return false;
        }
        // One that was over is sent once more, by somebody else's layer.
        let path = uri.path_and_query().cloned();
        let before = std::mem::replace(&mut *record, Record::asked(path, Instant::now()));
        drop(record);
        drop(before);
        true
    }
}

/// For the layer that has the call in hand, the outermost that acts on it: it knows when it is over, and
/// how it ended.
impl Trace {
    /// How the call failed, and what that means of an attempt under way.
    pub(crate) fn failed_for_good(&self, code: Code, give_up: Option<GiveUp>, verdict: Verdict) {
        let now = Instant::now();
        self.write(|record| record.end(code, give_up, verdict, now));
    }

    /// The answer begins, and has said this already if it is no more than a head; the report, if there
    /// is more to tell than that, or if somebody asked for it.
    pub(crate) fn answered(&self, code: Option<Code>) -> Option<CallReport> {
        let is_told = self.write(|record| {
            record.answered(code, Instant::now());
            record.is_told()
        });
        is_told.then(|| self.report())
    }

    /// The answer is at its end, which says this, or no more than its head may have.
    pub(crate) fn ended(&self, code: Option<Code>) {
        self.write(|record| match code {
            Some(code) => record.end_with(code),
            None => record.end_in_silence(),
        });
    }

    /// The call is in nobody's hand any more.
    pub(crate) fn close(self) {
        // Mostly nobody can come to look at it any more.
        if Arc::strong_count(&self.0) > 1 {
            self.0.lock().close(Instant::now());
        }
    }
}
