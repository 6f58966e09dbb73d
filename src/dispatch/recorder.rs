use http::Response;
use tokio::time::Instant;

use crate::call::Context;
use crate::error::Error;
use crate::grpc::Code;
use crate::report::{GiveUp, Trace};

use super::Seen;

/// Writes down what a layer hands up. The outermost one owns the trace: it follows the call from its
/// future to the end of its body, and hands up the report, too. Without a trace there is nothing to
/// write.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Not in a body unless it is ours: an error may hold that, and the trace may hold the error.
    trace: Option<Trace>,
    owns: bool,
    passing: Option<Passing>,
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
    pub(crate) fn of(context: Option<&Context>) -> Self {
        match context.and_then(Context::trace) {
            Some(trace) => Self::listening(trace),
            None => Self::default(),
        }
    }

    /// For a layer that does not act on the call: it has something to write only if no layer further out
    /// does.
    #[inline]
    pub(crate) fn if_outermost(context: Option<&Context>) -> Self {
        let trace = context.and_then(Context::trace);
        match trace.filter(|trace| trace.own()) {
            Some(trace) => Self::new(trace.clone(), true),
            None => Self::default(),
        }
    }

    /// For a layer that writes whether somebody listens or not; the call begins now.
    #[cfg(any(feature = "deadline", feature = "retry"))]
    pub(crate) fn acting(context: &mut Context, now: Instant) -> Self {
        if let Some(trace) = context.trace() {
            return Self::listening(trace);
        }
        let trace = Trace::begun(now);
        context.follow(trace.clone());
        Self::new(trace, true)
    }

    /// For the outermost layer of a call that is followed from its middle on.
    #[cfg(feature = "stack")]
    pub(crate) fn owning(trace: Trace) -> Self {
        Self::new(trace, true)
    }

    /// For the other layers of such a call.
    #[cfg(feature = "stack")]
    pub(crate) fn noting(trace: Trace) -> Self {
        Self::new(trace, false)
    }

    fn listening(trace: &Trace) -> Self {
        Self::new(trace.clone(), trace.own())
    }

    fn new(trace: Trace, owns: bool) -> Self {
        Self {
            trace: Some(trace),
            owns,
            passing: None,
        }
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
        let Some(trace) = &self.trace else {
            return error;
        };
        if self.owns {
            trace.failed_for_good(error.code(), error.give_up(), verdict);
            error = error.reported(trace.report());
        } else {
            trace.came_back(!verdict.progress.is_unprocessed());
        }
        self.close();
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
