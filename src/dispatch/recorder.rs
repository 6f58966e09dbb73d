use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use tokio::time::Instant;

use crate::call::{CallOptions, Context};
use crate::classify::Reason;
use crate::error::Error;
use crate::events;
use crate::grpc::Code;
use crate::methods::method_of;
use crate::report::{GiveUp, Trace};

use super::Seen;

/// Writes down what a layer hands up. The outermost one owns the trace: it follows the call from
/// its future to the end of its body, and hands up the report, too. Without a trace there is
/// nothing to write.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Not in a body unless it is ours: an error may hold that, and the trace may hold the error.
    trace: Option<Trace>,
    owns: bool,
    passing: Option<Passing>,
    /// Those of a call that has any: some may have no effect.
    options: Option<Arc<CallOptions>>,
}

/// Why a layer that repeats calls lets one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    /// A layer further out has it in hand.
    Nested,
    /// It is not to be retried.
    SwitchedOff,
}

impl Passing {
    fn reason(self) -> GiveUp {
        match self {
            Self::Nested => GiveUp::Nested,
            Self::SwitchedOff => GiveUp::SwitchedOff,
        }
    }

    /// The failure of a call that passed, given up so unless a layer below said why.
    pub(crate) fn name(self, error: Error) -> Error {
        match error.give_up() {
            None => error.given_up(self.reason(), 0),
            Some(_) => error,
        }
    }
}

impl Recorder {
    /// For a call that somebody listens to, or nobody.
    #[inline]
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let Some(context) = request.extensions().get::<Context>() else {
            return Self::default();
        };
        Self::listening(request.uri(), context)
    }

    /// For a layer that does not act on the call: it has something to write only if no layer
    /// further out does.
    #[inline]
    pub(crate) fn if_outermost<B>(request: &Request<B>) -> Self {
        let Some(context) = request.extensions().get::<Context>() else {
            return Self::default();
        };
        let trace = context.trace();
        let recorder = match trace.filter(|trace| trace.own(request.uri())) {
            Some(trace) => Self::new(trace.clone(), true),
            None => Self::default(),
        };
        recorder.with_options(context)
    }

    /// For a layer that writes whether somebody listens or not; the call begins now.
    pub(crate) fn acting<B>(request: &mut Request<B>, now: Instant) -> Self {
        let context = request.extensions().get::<Context>();
        if context.and_then(Context::trace).is_some() {
            return Self::of(request);
        }
        let path = request.uri().path_and_query().cloned();
        let context = Context::of(request.extensions_mut());
        let trace = Trace::begun(path, now);
        context.set_trace(trace.clone());
        Self::new(trace, true).with_options(context)
    }

    /// For the outermost layer of a call that is followed from its middle on.
    pub(crate) fn owning(trace: Trace) -> Self {
        Self::new(trace, true)
    }

    /// For the other layers of such a call.
    pub(crate) fn noting(trace: Trace) -> Self {
        Self::new(trace, false)
    }

    #[inline]
    fn listening(uri: &Uri, context: &Context) -> Self {
        let recorder = match context.trace() {
            Some(trace) => Self::new(trace.clone(), trace.own(uri)),
            None => Self::default(),
        };
        recorder.with_options(context)
    }

    fn new(trace: Trace, owns: bool) -> Self {
        Self {
            trace: Some(trace),
            owns,
            passing: None,
            options: None,
        }
    }

    #[inline]
    fn with_options(mut self, context: &Context) -> Self {
        self.options = context.shared_options();
        self
    }

    /// Whether it has nothing to write and nothing to watch.
    #[inline]
    pub(crate) fn is_silent(&self) -> bool {
        self.trace.is_none() && self.options.is_none()
    }

    /// Where to write what happens.
    #[inline]
    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// Why the layer lets the call pass, if it does.
    pub(crate) fn why_passing(&self) -> Option<Passing> {
        self.passing
    }

    /// For a layer that does not repeat the call, for this reason.
    pub(crate) fn passing(mut self, why: Passing) -> Self {
        self.passing = Some(why);
        if let Some(trace) = &self.trace {
            trace.passes(why.reason());
        }
        self
    }

    /// An answer goes up, which has said this already. What goes on to write, in its body.
    #[inline]
    pub(crate) fn answered<B>(&mut self, response: &mut Response<B>, code: Option<Code>) -> Self {
        if let Some(options) = self.options.take() {
            options.warn_of_unseen();
        }
        if let Some(trace) = &self.trace {
            if !self.owns {
                trace.came_back(true);
                self.trace = None;
            } else if let Some(report) = trace.answered(code) {
                response.extensions_mut().insert(report);
            }
        }
        std::mem::take(self)
    }

    /// The call failed.
    #[cold]
    pub(crate) fn failed(&mut self, mut error: Error) -> Error {
        if let Some(why) = self.passing {
            error = why.name(error);
        }
        let verdict = error.verdict();
        if let (Reason::Overloaded, Some(options)) = (verdict.reason, &self.options) {
            // A layer of tower's took the call from those below it.
            options.hold(true);
        }
        let Some(trace) = &self.trace else {
            return error;
        };
        if self.owns {
            tell(trace.path().as_ref().map(PathAndQuery::path), &mut error);
            let (code, endpoint) = (error.code(), error.endpoint());
            trace.failed_for_good(code, error.give_up(), verdict, endpoint);
            error = error.reported(trace.report());
        } else {
            trace.came_back(!verdict.progress.is_unprocessed());
        }
        self.close();
        error
    }

    /// The call failed by a decision of this layer. Where nobody follows the call, this is the
    /// layer that tells it.
    #[cold]
    pub(crate) fn decided(&self, path: Option<&str>, mut error: Error) -> Error {
        if self.trace.is_none() {
            tell(path, &mut error);
        }
        error
    }

    /// This was read of the body, and goes up.
    #[inline]
    pub(crate) fn saw(&mut self, seen: Seen) {
        if let Seen::Trailers(code) = seen {
            self.over(code);
        }
    }

    /// The body is at its end, which says this.
    #[inline]
    pub(crate) fn over(&mut self, code: Option<Code>) {
        if let (true, Some(trace)) = (self.owns, &self.trace) {
            trace.ended(code);
        }
        self.close();
    }

    #[inline]
    fn close(&mut self) {
        if let Some(trace) = self.trace.take()
            && self.owns
        {
            trace.close();
        }
    }
}

impl Drop for Recorder {
    #[inline]
    fn drop(&mut self) {
        if self.trace.is_some() {
            self.close();
        }
    }
}

/// Tells that the call failed so, unless a layer did already.
#[cold]
fn tell(path: Option<&str>, error: &mut Error) {
    if let Some(error) = error.take_untold() {
        let attempts = Some(error.attempts()).filter(|attempts| *attempts > 0);
        let give_up = error.give_up().map(GiveUp::name);
        events::gave_up(path.map(method_of), attempts, error.event(), give_up);
    }
}
