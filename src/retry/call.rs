use std::sync::Arc;

use http::{HeaderMap, Request, Response};
use tokio::time::Instant;

use crate::body::{Lost, Recording, RequestBody};
use crate::error::Error;
#[cfg(feature = "stack")]
use crate::report::Trace;

use super::after::Next;
use super::answer::{self, Said};
use super::committed::Committed;
use super::course::Course;
use super::hook::Preparing;
use super::shared::Shared;

/// What is needed for a further attempt of one call.
///
/// Dropping it commits the call.
pub(crate) struct RetryCall<S, B: RequestBody> {
    shared: Arc<Shared<S>>,
    recording: Recording<B>,
    /// What it took over of the channel's buffer.
    held: usize,
    course: Course,
}

impl<S: Clone, B: RequestBody> RetryCall<S, B> {
    #[expect(
        clippy::inline_always,
        reason = "it is made where it is kept, not moved there"
    )]
    #[inline(always)]
    pub(super) fn new(
        shared: Arc<Shared<S>>,
        recording: Recording<B>,
        held: usize,
        course: Course,
    ) -> Self {
        Self {
            shared,
            recording,
            held,
            course,
        }
    }

    /// A service for the next attempt; its readiness is unknown.
    pub(super) fn service(&self) -> S {
        self.shared.spare.service()
    }

    /// Begins the next attempt: what must run before its request is made, if anything.
    pub(super) fn begin(&mut self) -> Option<Preparing> {
        self.course.begin(&self.shared.settings)
    }

    /// Keeps these headers, with the rest of the head.
    #[inline]
    pub(super) fn keep(&mut self, headers: &HeaderMap) {
        self.course.keep(headers);
    }

    /// The first attempt starts now, with the caller's own head.
    pub(crate) fn begin_first(&mut self, headers: &mut HeaderMap, is_kept: bool, now: Instant) {
        self.course.begin_first(headers, is_kept, now);
    }

    /// The request of the attempt, which starts now; with these headers if a hook made them.
    pub(super) fn request(&mut self, prepared: Option<HeaderMap>) -> Request<B> {
        let body = self.recording.attempt();
        self.course.request(body, prepared)
    }

    /// The attempt has no answer yet. One that waits for its channel may do so for long, and with it
    /// what is kept for the next.
    pub(super) fn goes_on(&mut self) {
        if self.course.goes_on() {
            self.recording.detach();
        }
    }

    /// Whether the head of an answer may be held until the first frame.
    #[cfg(feature = "stack")]
    pub(crate) fn answers_once(&self) -> bool {
        self.course.answers_once()
    }

    /// Whoever makes the first attempt itself leaves the call to the layer, with what was written down.
    #[cfg(feature = "stack")]
    pub(crate) fn follow(&mut self, trace: Trace) {
        self.course.follow(trace);
    }

    /// What the head of an answer says of the attempt.
    #[inline]
    pub(super) fn judge<R>(&mut self, response: &mut Response<R>) -> Result<Said, Error> {
        let answers_once = self.course.answered();
        answer::judge(response, answers_once)
    }

    /// The last failure, if the request itself failed since: no attempt follows (CONTRACT R13).
    pub(super) fn request_failed(&mut self) -> Option<Error> {
        self.recording.look_ahead();
        if self.recording.lost() != Some(Lost::RequestFailed) {
            return None;
        }
        self.course.request_failed()
    }

    /// Judges a failed attempt.
    pub(super) fn after(&mut self, error: Error) -> Next {
        self.recording.end_attempt();
        let settings = &self.shared.settings;
        self.course.after(error, self.recording.lost(), settings)
    }

    /// The answer of the attempt goes up: no other can follow it. What the body has to watch for.
    #[inline]
    pub(crate) fn commit(&mut self) -> Committed {
        self.course.commit()
    }
}

impl<S, B: RequestBody> Drop for RetryCall<S, B> {
    fn drop(&mut self) {
        if self.held > 0 {
            self.shared.settings.replay_buffer.release(self.held);
        }
    }
}
