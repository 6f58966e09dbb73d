use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::attempt_timeout;
use crate::body::RequestBody;
use crate::deadline::{self, Bound};
use crate::dispatch::{Attempt, Recorder};
use crate::error::{BoxError, Error};
use crate::report::Trace;
use crate::retry::{self, RetryCall};
use crate::wait_for_ready::{self, Pass, Watch};

use super::answered::Answered;
use super::layered::{Inner, Waiting};

/// An ordinary call whose first attempt is under way: what each layer would hold of it now.
pub(super) struct Going<S, B: RequestBody> {
    call: Box<RetryCall<Waiting<S>, B>>,
    /// `None` once the head of the answer has come: then the gate was told.
    pass: Option<Pass>,
    bound: Option<Bound>,
    began: Instant,
}

/// The future of all layers.
pub(super) type Layers<S, B> = deadline::ResponseFuture<Inner<S>, B>;

impl<S: Clone, B: RequestBody> Going<S, B> {
    pub(super) fn new(
        call: Box<RetryCall<Waiting<S>, B>>,
        pass: Pass,
        bound: Option<Bound>,
        began: Instant,
    ) -> Self {
        Self {
            call,
            pass: Some(pass),
            bound,
            began,
        }
    }

    /// The head of its answer has come; what watches the connection from now on.
    #[inline]
    pub(super) fn heard(&mut self) -> Option<Watch> {
        self.pass.take().map(Pass::answered)
    }

    /// The layers take the call up at what its first attempt came to, of which the gate was not told.
    #[cold]
    pub(super) fn taken_up<R>(self, outcome: Result<Response<R>, Error>) -> Layers<S, B>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let Self {
            mut call,
            pass,
            bound,
            began,
        } = self;
        let recorders = Recorders::of(began, bound.is_some());
        call.follow(recorders.trace.clone());
        let attempt = Attempt::known(outcome);
        let attempt = attempt_timeout::ResponseFuture::new(attempt, None, Recorder::default());
        let attempt = Attempt::under_way(attempt);
        let attempt = wait_for_ready::ResponseFuture::going(attempt, pass, None, recorders.below());
        let attempt = Attempt::under_way(attempt);
        let retry = retry::ResponseFuture::retrying(attempt, call, recorders.retry);
        under_deadline(retry, bound, recorders.deadline)
    }

    /// The same, at a failure in what was read of a held answer.
    #[cold]
    pub(super) fn failed<R>(self, error: Error) -> Layers<S, B>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let Self {
            mut call,
            bound,
            began,
            ..
        } = self;
        let recorders = Recorders::of(began, bound.is_some());
        call.follow(recorders.trace.clone());
        let retry = retry::ResponseFuture::after(error, call, recorders.retry);
        under_deadline(retry, bound, recorders.deadline)
    }

    /// Whether the head of its answer is held until the first frame.
    pub(super) fn answers_once(&self) -> bool {
        self.call.answers_once()
    }

    /// Wakes the task when the call must end.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let began = self.began;
        let Some(bound) = &mut self.bound else {
            return Poll::Pending;
        };
        let trace = || Some(Trace::under_way(began));
        let over = bound.poll_over(cx, trace);
        over.map(|error| Recorder::owning(Trace::under_way(began)).failed(error))
    }

    /// The answer goes up.
    #[inline]
    pub(super) fn answered(mut self, watch: Option<Watch>) -> Answered {
        Answered {
            watch,
            committed: self.call.commit(),
            bound: self.bound,
            began: self.began,
            since: Instant::now(),
        }
    }
}

/// Who writes down what from now on: the outermost layer that acts has the call in hand.
struct Recorders {
    trace: Trace,
    deadline: Recorder,
    retry: Recorder,
}

impl Recorders {
    fn of(began: Instant, is_bounded: bool) -> Self {
        let trace = Trace::under_way(began);
        let (deadline, retry) = if is_bounded {
            let retry = Recorder::noting(trace.clone());
            (Recorder::owning(trace.clone()), retry)
        } else {
            (Recorder::default(), Recorder::owning(trace.clone()))
        };
        Self {
            trace,
            deadline,
            retry,
        }
    }

    fn below(&self) -> Recorder {
        Recorder::noting(self.trace.clone())
    }
}

fn under_deadline<S, B>(
    future: S::Future,
    bound: Option<Bound>,
    recorder: Recorder,
) -> deadline::ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    let attempt = Attempt::under_way(future);
    match bound {
        Some(bound) => deadline::ResponseFuture::bound(attempt, bound, recorder),
        None => deadline::ResponseFuture::passing(attempt, recorder),
    }
}
