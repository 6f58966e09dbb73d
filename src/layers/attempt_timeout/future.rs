use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::body::RequestGuard;
use crate::classify::{self, Progress, Reason};
use crate::dispatch::{AnswerBody, Attempt, Recorder, passed, received};
use crate::error::{BoxError, Error};
use crate::grpc::Code;
use crate::kernel::timer::NoRuntime;
use crate::report::Phase;

use super::AttemptBody;
use super::attempt_timer::AttemptTimer;

/// The future of [`AttemptTimeout`](super::AttemptTimeout).
#[pin_project]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    #[pin]
    attempt: Attempt<S, B>,
    bound: Option<AttemptTimer>,
    /// `None` for a call that is not bounded and not recorded.
    recorder: Option<Recorder>,
    /// The path of the request, for events about a call without a trace.
    path: Option<PathAndQuery>,
    /// The request ends with the attempt (CONTRACT R13).
    request: Option<RequestGuard>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(crate) fn new(
        attempt: Attempt<S, B>,
        bound: Option<AttemptTimer>,
        recorder: Recorder,
    ) -> Self {
        let is_silent = bound.is_none() && recorder.is_silent();
        Self {
            attempt,
            bound,
            recorder: (!is_silent).then_some(recorder),
            path: None,
            request: None,
        }
    }

    /// Sets the path of the request, for a call without a trace.
    pub(super) fn naming(self, path: Option<PathAndQuery>) -> Self {
        Self { path, ..self }
    }

    /// Ends this request with the attempt.
    pub(super) fn guarding(self, request: Option<RequestGuard>) -> Self {
        Self { request, ..self }
    }

    pub(super) fn failed(error: Error, recorder: Recorder) -> Self {
        Self {
            attempt: Attempt::refused(error),
            bound: None,
            recorder: Some(recorder),
            path: None,
            request: None,
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<AttemptBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = this.attempt.as_mut().poll(cx);
        let Some(recorder) = this.recorder else {
            return passed(polled, AttemptBody::passing);
        };
        if let Poll::Ready(outcome) = polled {
            let bound = this.bound.take();
            let is_bound = bound.is_some();
            let request = this.request.take();
            let judged = outcome.and_then(|mut response| {
                let code = received(&mut response)?;
                Ok((response, code))
            });
            return Poll::Ready(match judge(judged, bound.as_ref()) {
                Ok((mut response, code)) => {
                    let is_open = code.is_none() && !response.body().is_end_stream();
                    let bound = bound.filter(|_| is_open).and_then(AttemptTimer::answered);
                    let recorder = recorder.answered(&mut response, code);
                    let request = request.map(RequestGuard::answered);
                    Ok(response.map(|inner| {
                        let inner = AnswerBody::new(inner, code);
                        AttemptBody::new(inner, bound, recorder, request)
                    }))
                }
                Err(error) => {
                    let error = error.of_guarded(request);
                    Err(if is_bound {
                        failed(error, recorder, this.path.as_ref())
                    } else {
                        recorder.failed(error)
                    })
                }
            });
        }
        let Some(bound) = this.bound else {
            return Poll::Pending;
        };
        let over = ready!(bound.poll_passed(cx));
        let (phase, progress) = if this.attempt.is_waiting() {
            (Phase::Queued, Progress::NotSent)
        } else {
            (Phase::Attempt, Progress::Reached)
        };
        let error = match over {
            Ok(()) => bound.expired(phase, progress),
            Err(NoRuntime) => Error::without_runtime(progress),
        };
        // A finished future must not keep the attempt alive.
        this.attempt.set(Attempt::Done);
        *this.bound = None;
        *this.request = None;
        Poll::Ready(Err(failed(error, recorder, this.path.as_ref())))
    }
}

/// Records the error as this layer's decision only if this layer ended the attempt.
#[cold]
fn failed(error: Error, recorder: &mut Recorder, path: Option<&PathAndQuery>) -> Error {
    let error = match error.verdict().reason {
        Reason::AttemptTimedOut => recorder.decided(path.map(PathAndQuery::path), error),
        _ => error,
    };
    recorder.failed(error)
}

/// A response, and the code in its head.
type Answer<R> = (Response<R>, Option<Code>);

/// The response or the error; or the end of the attempt, if it is one under another code.
fn judge<R>(
    outcome: Result<Answer<R>, Error>,
    bound: Option<&AttemptTimer>,
) -> Result<Answer<R>, Error> {
    let Some(bound) = bound else { return outcome };
    let (response, code) = outcome.map_err(|error| bound.name(error, Phase::Attempt))?;
    if code.is_some_and(classify::may_be_expiry) {
        let said = classify::head(response.status(), response.headers());
        let ended = bound.said(said, Phase::Attempt);
        ended.map_err(|error| error.vouched_in(&response))?;
    }
    Ok((response, code))
}
