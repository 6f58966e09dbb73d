use bytes::Bytes;
use http::{Extensions, Response};
use http_body::Frame;

use crate::call::Context;
use crate::error::Error;
use crate::grpc::Code;
use crate::report::{GiveUp, Owner, Phase, Trace};

/// Writes down what a layer hands up. The outermost one follows the call from its future to the end
/// of its body, and hands up the report, too. Without a trace there is nothing to write.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Not in a body: an error may hold that, and the trace may hold the error.
    trace: Option<Trace>,
    owner: Option<Owner>,
    /// Why the layer lets the call pass, if it does.
    passing: Option<GiveUp>,
}

type Read = Option<Result<Frame<Bytes>, Error>>;

impl Recorder {
    /// For a call that somebody listens to, or nobody.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        let trace = extensions.get::<Context>().and_then(Context::trace);
        Self {
            owner: trace.and_then(Trace::own),
            trace: trace.cloned(),
            passing: None,
        }
    }

    /// For a layer that does not repeat the call, for this reason.
    #[cfg(feature = "retry")]
    pub(crate) fn passing(mut self, reason: GiveUp) -> Self {
        self.passing = Some(reason);
        if let Some(trace) = &self.trace {
            trace.passes(reason);
        }
        self
    }

    /// What the layer's future resolves to.
    pub(crate) fn hand_up<R, B>(
        &mut self,
        outcome: Result<Response<R>, Error>,
        body: impl FnOnce(R, Self) -> B,
    ) -> Result<Response<B>, Error> {
        match outcome {
            Ok(mut response) => {
                self.answered(&mut response);
                let recorder = std::mem::take(self);
                Ok(response.map(|inner| body(inner, recorder)))
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The call failed.
    pub(crate) fn failed(&mut self, mut error: Error) -> Error {
        if let (Some(reason), None) = (self.passing, error.give_up()) {
            error = error.given_up(reason, 0);
        }
        let verdict = error.verdict();
        if let Some(trace) = self.trace.take() {
            trace.came_back(!verdict.progress.is_unprocessed());
        }
        let Some(owner) = self.owner.take() else {
            return error;
        };
        owner.ended(error.code(), error.give_up(), Some(verdict));
        error.reported(owner.report())
    }

    fn answered<B>(&mut self, response: &mut Response<B>) {
        if let Some(trace) = self.trace.take() {
            trace.came_back(true);
        }
        let Some(owner) = &self.owner else { return };
        owner.enter(Phase::Response);
        if let Some(code) = Code::from_headers(response.headers()) {
            owner.ended(code, None, None);
        }
        response.extensions_mut().insert(owner.report());
    }

    /// This was read of the body.
    pub(crate) fn read(&mut self, read: Read) -> Read {
        match read {
            Some(Err(error)) => Some(Err(self.failed(error))),
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.over(Code::from_headers(trailers));
                }
                Some(Ok(frame))
            }
            None => {
                self.over(None);
                None
            }
        }
    }

    /// The body is at its end.
    fn over(&mut self, code: Option<Code>) {
        match (self.owner.take(), code) {
            (Some(owner), Some(code)) => owner.ended(code, None, None),
            (Some(owner), None) => owner.ended_in_silence(),
            (None, _) => {}
        }
    }
}
