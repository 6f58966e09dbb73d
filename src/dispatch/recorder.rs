use http::Response;
use tokio::time::Instant;

use crate::call::Context;
use crate::error::Error;
use crate::grpc::Code;
use crate::report::{GiveUp, Owner, Trace};

use super::Seen;

/// Writes down what a layer hands up. The outermost one follows the call from its future to the end
/// of its body, and hands up the report, too. Without a trace there is nothing to write.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    listener: Listener,
    /// Why the layer lets the call pass, if it does.
    passing: Option<GiveUp>,
}

#[derive(Debug, Default)]
enum Listener {
    #[default]
    Nobody,
    /// A layer further out follows the call. Not in a body: an error may hold that, and the trace may
    /// hold the error.
    Other(Trace),
    Us(Owner),
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

    /// For a layer that writes whether somebody listens or not, with where it writes; the call begins
    /// now.
    #[cfg(any(feature = "deadline", feature = "retry"))]
    pub(crate) fn acting(context: &mut Context, now: Instant) -> (Trace, Self) {
        if let Some(trace) = context.trace() {
            return (trace.clone(), Self::listening(trace));
        }
        let (trace, owner) = Trace::begun(now);
        context.follow(trace.clone());
        (trace, Self::new(Listener::Us(owner)))
    }

    fn listening(trace: &Trace) -> Self {
        Self::new(match trace.own() {
            Some(owner) => Listener::Us(owner),
            None => Listener::Other(trace.clone()),
        })
    }

    fn new(listener: Listener) -> Self {
        Self {
            listener,
            passing: None,
        }
    }

    /// Where to write what happens.
    pub(crate) fn trace(&self) -> Option<&Trace> {
        match &self.listener {
            Listener::Nobody => None,
            Listener::Other(trace) => Some(trace),
            Listener::Us(owner) => Some(owner.trace()),
        }
    }

    /// For a layer that does not repeat the call, for this reason.
    #[cfg(feature = "retry")]
    pub(crate) fn passing(mut self, reason: GiveUp) -> Self {
        self.passing = Some(reason);
        if let Some(trace) = self.trace() {
            trace.passes(reason);
        }
        self
    }

    /// What the layer's future resolves to, for an answer that has said this already.
    #[inline]
    pub(crate) fn hand_up<R, B>(
        &mut self,
        mut response: Response<R>,
        code: Option<Code>,
        body: impl FnOnce(R, Self) -> B,
    ) -> Response<B> {
        self.answered(&mut response, code);
        let recorder = std::mem::take(self);
        response.map(|inner| body(inner, recorder))
    }

    /// The call failed.
    #[cold]
    pub(crate) fn failed(&mut self, mut error: Error) -> Error {
        if let (Some(reason), None) = (self.passing, error.give_up()) {
            error = error.given_up(reason, 0);
        }
        let verdict = error.verdict();
        match std::mem::take(&mut self.listener) {
            Listener::Nobody => error,
            Listener::Other(trace) => {
                trace.came_back(!verdict.progress.is_unprocessed());
                error
            }
            Listener::Us(owner) => {
                owner.failed(error.code(), error.give_up(), verdict);
                error.reported(owner.report())
            }
        }
    }

    fn answered<B>(&mut self, response: &mut Response<B>, code: Option<Code>) {
        match &self.listener {
            Listener::Nobody => {}
            Listener::Other(trace) => {
                trace.came_back(true);
                self.listener = Listener::Nobody;
            }
            Listener::Us(owner) => {
                if let Some(report) = owner.answered(code) {
                    response.extensions_mut().insert(report);
                }
            }
        }
    }

    /// This was read of the body, and goes up.
    #[inline]
    pub(crate) fn saw(&mut self, seen: Seen) {
        if let Seen::Trailers(code) = seen {
            self.over(code);
        }
    }

    /// The body is at its end, which says this.
    pub(crate) fn over(&mut self, code: Option<Code>) {
        if let Listener::Us(owner) = std::mem::take(&mut self.listener) {
            match code {
                Some(code) => owner.ended(code),
                None => owner.ended_in_silence(),
            }
        }
    }
}
