use bytes::Bytes;
use http::{Extensions, Response};
use http_body::Frame;

use crate::call::Context;
use crate::error::Error;
use crate::grpc::Code;
use crate::report::{GiveUp, Held, Phase, Trace};

/// Writes down what a layer hands up, from its future to the end of its body; the outermost layer
/// hands up the report, too. Without a trace there is nothing to write.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    held: Option<Held>,
    /// Why the layer lets the call pass, if it does.
    passing: Option<GiveUp>,
}

type Read = Option<Result<Frame<Bytes>, Error>>;

impl Recorder {
    /// Takes the call in hand, if somebody listens to it.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        let trace = extensions.get::<Context>().and_then(Context::trace);
        Self {
            held: trace.map(Trace::hold),
            passing: None,
        }
    }

    /// The same for a layer that does not repeat the call, for this reason.
    #[cfg(feature = "retry")]
    pub(crate) fn passing(self, reason: GiveUp) -> Self {
        Self {
            passing: Some(reason),
            ..self
        }
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
        let Some(held) = self.held.take() else {
            return error;
        };
        held.ended(error.code(), error.give_up());
        // Not below another layer, which may write the error down: then the report would hold itself.
        if held.is_outermost() {
            error.reported(held.report())
        } else {
            error
        }
    }

    fn answered<B>(&self, response: &mut Response<B>) {
        let Some(held) = &self.held else { return };
        held.enter(Phase::Response);
        if let Some(code) = Code::from_headers(response.headers()) {
            held.ended(code, self.reason(code));
        }
        if held.is_outermost() {
            response.extensions_mut().insert(held.report());
        }
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

    /// The body is at its end; the head of a Trailers-Only answer has said the code already.
    fn over(&mut self, code: Option<Code>) {
        let Some(held) = self.held.take() else { return };
        match code {
            Some(code) => held.ended(code, self.reason(code)),
            None => held.ended_without_status(),
        }
    }

    fn reason(&self, code: Code) -> Option<GiveUp> {
        self.passing.filter(|_| code != Code::Ok)
    }
}
