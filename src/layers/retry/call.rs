use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use tokio::time::Instant;

use crate::body::{NotReplayable, Reader, RequestBody};
use crate::call::Context;
use crate::dispatch::Head;
use crate::error::{Error, GiveUp};
use crate::grpc::Vouched;
use crate::kernel::timer::{NoRuntime, Timer};

use super::Policy;
use super::answer::{self, Judged};
use super::completion::Completion;
use super::hook::Preparing;
use super::judge::Next;
use super::kept_request::KeptRequest;
use super::progress::CallProgress;

/// The state that a further attempt of one call needs.
///
/// Dropping it commits the call.
pub(crate) struct RetryCall<S, B: RequestBody> {
    kept: KeptRequest<S, B>,
    course: CallProgress,
    /// Whether an attempt has the request: its end then is evidence for the cause of an error.
    is_sent: bool,
}

impl<S: Clone, B: RequestBody> RetryCall<S, B> {
    /// Starts the call of a request that is about to be sent, and returns the hook to run first.
    #[inline]
    pub(super) fn begun(
        request: &Request<B>,
        context: Context,
        kept: KeptRequest<S, B>,
        policy: Arc<dyn Policy>,
    ) -> (Box<Self>, Option<Preparing>) {
        let place = Box::new_uninit();
        let head = Head::without_headers(request, Some(context));
        let mut call = Box::write(place, Self::new(kept, CallProgress::new(head, policy)));
        call.course.keep(request.headers());
        let preparing = call.begin();
        (call, preparing)
    }

    #[expect(
        clippy::inline_always,
        reason = "it is made where it is kept, not moved there"
    )]
    #[inline(always)]
    fn new(kept: KeptRequest<S, B>, course: CallProgress) -> Self {
        Self {
            kept,
            course,
            is_sent: false,
        }
    }

    /// Like [`begun`](Self::begun), for a caller that made the first attempt itself without a hook.
    #[cold]
    pub(crate) fn under_way(
        kept: KeptRequest<S, B>,
        head: Head,
        policy: Arc<dyn Policy>,
    ) -> Box<Self> {
        let mut course = CallProgress::new(head, policy);
        drop(course.begin(kept.settings()));
        course.may_come_back = kept.may_come_back();
        let mut call = Self::new(kept, course);
        call.is_sent = true;
        Box::new(call)
    }

    /// A service for the next attempt; its readiness is unknown.
    pub(super) fn service(&self) -> S {
        self.kept.service()
    }

    /// Begins the next attempt, and returns the hook to run before its request is made.
    pub(super) fn begin(&mut self) -> Option<Preparing> {
        self.course.begin(self.kept.settings())
    }

    /// Starts the first attempt, with the caller's own head.
    pub(super) fn begin_first(&mut self, headers: &mut HeaderMap, now: Instant) {
        self.is_sent = true;
        let may_come_back = self.kept.may_come_back();
        self.course.begin_first(headers, may_come_back, now);
    }

    /// Starts the attempt and returns its request, with the headers of the hook, if one ran.
    pub(super) fn request(&mut self, prepared: Option<HeaderMap>) -> Request<B> {
        let body = self.kept.recording.attempt();
        self.is_sent = true;
        self.course.request(body, prepared)
    }

    /// Called while the attempt has no response. An attempt may wait long for its channel: the data
    /// kept for the next one is then detached from the encoder's buffer.
    pub(super) fn goes_on(&mut self) {
        if self.course.goes_on() {
            self.kept.recording.detach();
        }
    }

    /// Judges the head of a response.
    #[inline]
    pub(super) fn judge<R>(&mut self, response: &mut Response<R>) -> Result<Judged, Error> {
        let answers_once = self.course.answered();
        answer::judge(response, answers_once).map_err(|error| self.vouched(response, error))
    }

    #[cold]
    fn vouched<R>(&self, response: &Response<R>, error: Error) -> Error {
        match response.extensions().get::<Vouched>() {
            Some(vouched) if self.believes(vouched) => error.vouched_for(),
            _ => error,
        }
    }

    /// Whether the server's declaration about this request is trusted (CONTRACT I7).
    fn believes(&self, vouched: &Vouched) -> bool {
        let trusts = self.kept.settings().trusts_unprocessed || vouched.is_from_channel();
        trusts && vouched.is_of(self.course.uri())
    }

    /// Called after the wait before the next attempt. `Some`: the last failure is final.
    pub(super) fn waited(&mut self, over: Result<(), NoRuntime>) -> Option<Error> {
        match over {
            Ok(()) => self.request_failed(),
            // Without a runtime the end of the wait is unknown (CONTRACT D13).
            Err(NoRuntime) => self.course.ended_by(GiveUp::NoRuntime),
        }
    }

    /// The last failure, if the request itself has failed since: no attempt follows (CONTRACT R13).
    fn request_failed(&mut self) -> Option<Error> {
        self.kept.recording.look_ahead();
        if self.kept.recording.lost() != Some(NotReplayable::RequestFailed) {
            return None;
        }
        self.course.ended_by(GiveUp::RequestFailed)
    }

    /// A timer for the wait before the next attempt.
    pub(super) fn timer(&self, wait: Duration) -> Timer {
        self.kept.settings().home.timer_after(wait)
    }

    /// Judges a failed attempt. Its request ends first, so that nothing reads it any more.
    pub(super) fn after(&mut self, error: Error) -> Next {
        self.kept.recording.end_attempt();
        let kept = &self.kept;
        // A hook fails between two attempts: the previous request is no evidence for that.
        let reader = if std::mem::take(&mut self.is_sent) {
            kept.recording.reader()
        } else {
            Reader::None
        };
        let error = error.of_request(reader, self.course.kind());
        let error = match error.vouched() {
            Some(vouched) if self.believes(vouched) => error.vouched_for(),
            _ => error,
        };
        let room = |wait| kept.wait(wait);
        self.course
            .after(error, kept.recording.lost(), kept.settings(), room)
    }

    /// Commits the call to the response of the attempt. Returns the state that the body needs.
    #[inline]
    pub(super) fn commit(&mut self) -> Completion {
        self.kept.answered();
        self.course.commit()
    }
}
