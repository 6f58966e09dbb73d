use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;
use tokio::time::Instant;

use crate::classify::{Endpoint, Progress, Verdict};
use crate::grpc::Code;
use crate::kernel::sync::Mutex;

use super::record::{Record, SharedError};
use super::{CallReport, GiveUp, Phase, Waited};

/// Where layers record what happens to a call; [`report`](Self::report) reads it.
///
/// Once the call is over nothing is recorded, even if a layer still works on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Arc<Mutex<Record>>);

impl Trace {
    /// Sets the current phase of the call.
    pub(crate) fn enter(&self, phase: Phase) {
        self.enter_at(phase, Instant::now);
    }

    /// The current phase of the call.
    #[must_use]
    pub(crate) fn phase(&self) -> Phase {
        self.0.lock().phase()
    }

    /// A live view of this call.
    #[must_use]
    pub(crate) fn report(&self) -> CallReport {
        CallReport::new(Arc::clone(&self.0))
    }

    /// The last error of the call, except the one it ended with.
    #[must_use]
    pub(crate) fn last_failure(&self) -> Option<Arc<dyn std::error::Error + Send + Sync>> {
        self.0.lock().last_failure()
    }

    /// Returns the replaced error, to be dropped without the lock: its drop may run any code.
    fn write<T: Default>(&self, write: impl FnOnce(&mut Record) -> T) -> T {
        let mut record = self.0.lock();
        if record.is_over() {
            return T::default();
        }
        write(&mut record)
    }
}

/// For all layers of this crate.
impl Trace {
    /// The record of a call that begins now, without a reader yet.
    pub(crate) fn begun(path: Option<PathAndQuery>, now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Record::begun(path, now))))
    }

    /// The path of the request, if an acting layer has the call.
    pub(crate) fn path(&self) -> Option<PathAndQuery> {
        self.0.lock().path()
    }

    /// The record of a call that began at `began`, with an attempt that was not recorded.
    pub(crate) fn under_way(path: Option<PathAndQuery>, began: Instant) -> Self {
        let trace = Self::begun(path, began);
        trace.attempt_begins(1, false, began);
        trace.enter_at(Phase::Attempt, || began);
        trace
    }

    /// Records that the answer began at `at`.
    pub(crate) fn answered_at(&self, at: Instant) {
        self.write(|record| record.answered(None, at));
    }

    /// Like [`enter`](Self::enter), but reads the clock only if the phase changes, because several
    /// layers set the same phase one after another.
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

    /// How far the call got: certainly not sent, or possibly further.
    pub(crate) fn progress(&self) -> Progress {
        self.0.lock().progress()
    }

    /// Records the next attempt, counted from 1, or a transparent retry of the current one.
    pub(crate) fn attempt(&self, number: u32, transparent: bool) {
        self.write(|record| record.attempt(number, transparent));
    }

    pub(crate) fn attempt_began(&self, now: Instant) {
        self.write(|record| record.attempt_began(now));
    }

    /// Records that attempt `number` starts.
    pub(crate) fn attempt_begins(&self, number: u32, transparent: bool, now: Instant) {
        self.write(|record| {
            record.attempt(number, transparent);
            record.attempt_began(now);
        });
    }

    pub(crate) fn attempt_failed(&self, verdict: Verdict, endpoint: Option<&Endpoint>) {
        self.write(|record| record.attempt_failed(verdict, endpoint.cloned(), Instant::now()));
    }

    /// The request is no longer under way.
    pub(crate) fn came_back(&self, may_have_run: bool) {
        self.write(|record| record.came_back(may_have_run));
    }

    /// Records a failure that does not end the call.
    pub(crate) fn failed(&self, error: SharedError) {
        drop(self.write(|record| record.keep(error)));
    }

    /// Records why the channel is not ready.
    pub(crate) fn not_ready(&self, error: SharedError) {
        drop(self.write(|record| record.keep_not_ready(error)));
    }

    /// Records that the call begins to wait.
    pub(crate) fn waits(&self, phase: Phase) {
        self.write(|record| record.waits(phase, Instant::now()));
    }

    /// Records that the channel held the attempt under way so long before it went.
    pub(crate) fn waited(&self, waited: Waited) {
        self.write(|record| {
            record.waited(waited.duration());
            record.has_told_wait |= waited.is_told;
        });
    }

    /// Whether a wait for the channel that begins now is to be logged: true once for each call
    /// (CONTRACT V1).
    pub(crate) fn tells_wait(&self) -> bool {
        self.write(|record| !std::mem::replace(&mut record.has_told_wait, true))
    }

    /// Records that a layer passes the call through, and why.
    pub(crate) fn passes(&self, reason: GiveUp) {
        self.write(|record| record.passes(reason));
    }

    /// Takes ownership of the call, unless an outer layer has it.
    pub(crate) fn own(&self, uri: &Uri) -> bool {
        let mut record = self.0.lock();
        if record.is_owned {
            return false;
        }
        // The call was over: a foreign layer sends the request again.
        let path = uri.path_and_query().cloned();
        let before = std::mem::replace(&mut *record, Record::asked(path, Instant::now()));
        drop(record);
        drop(before);
        true
    }
}

/// For the outermost acting layer, which owns the call: it knows when and how the call ends.
impl Trace {
    /// Records the final failure, and its meaning for an attempt under way.
    pub(crate) fn failed_for_good(
        &self,
        code: Code,
        give_up: Option<GiveUp>,
        verdict: Verdict,
        endpoint: Option<&Endpoint>,
    ) {
        let now = Instant::now();
        self.write(|record| record.end(code, give_up, verdict, endpoint.cloned(), now));
    }

    /// Records the start of the answer, which states `code` if it is Trailers-Only. Returns the
    /// report if the response is to carry it.
    pub(crate) fn answered(&self, code: Option<Code>) -> Option<CallReport> {
        let is_told = self.write(|record| {
            record.answered(code, Instant::now());
            record.is_told()
        });
        is_told.then(|| self.report())
    }

    /// Records the end of the answer with `code`, or with the status of its head.
    pub(crate) fn ended(&self, code: Option<Code>) {
        self.write(|record| match code {
            Some(code) => record.end_with(code),
            None => record.end_in_silence(),
        });
    }

    /// Gives up ownership of the call.
    pub(crate) fn close(self) {
        // Usually no reader is left.
        if Arc::strong_count(&self.0) > 1 {
            self.0.lock().close(Instant::now());
        }
    }
}
