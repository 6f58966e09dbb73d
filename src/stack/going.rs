use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::attempt_timeout::{self, AttemptBody};
use crate::body::RequestBody;
use crate::deadline::{self, Bound};
use crate::dispatch::{Attempt, Recorder};
use crate::error::{BoxError, Error};
use crate::report::Trace;
use crate::retry::{self, RetryCall};
use crate::wait_for_ready::{self, Pass, WaitBody, Watch};

use super::answered::Answered;
use super::layered::{Inner, Waiting};

/// An ordinary call whose first attempt is under way: what each layer but the gate would hold of it now.
pub(super) struct Going<S, B: RequestBody> {
    call: Box<RetryCall<Waiting<S>, B>>,
    bound: Option<Bound>,
    began: Instant,
}

/// The future of all layers.
pub(super) type Layers<S, B> = deadline::ResponseFuture<Inner<S>, B>;

impl<S: Clone, B: RequestBody> Going<S, B> {
    pub(super) fn new(
        call: Box<RetryCall<Waiting<S>, B>>,
        bound: Option<Bound>,
        began: Instant,
    ) -> Self {
        Self { call, bound, began }
    }

    /// The layers take the call up at what its first attempt came to, of which the gate was not told.
    #[cold]
    pub(super) fn taken_up<R>(self, pass: Pass, outcome: Result<Response<R>, Error>) -> Layers<S, B>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        self.under_layers(|call, recorder, trace| {
            let attempt = Attempt::known(outcome);
            let attempt = attempt_timeout::ResponseFuture::new(attempt, None, Recorder::default());
            let attempt = Attempt::under_way(attempt);
            let below = Recorder::noting(trace);
            let attempt = wait_for_ready::ResponseFuture::going(attempt, pass, None, below);
            retry::ResponseFuture::retrying(Attempt::under_way(attempt), call, recorder)
        })
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
        self.under_layers(|call, recorder, _| retry::ResponseFuture::after(error, call, recorder))
    }

    /// Under the deadline and this; the outermost layer that acts has the call in hand from now on.
    fn under_layers<R>(
        mut self,
        retry: impl FnOnce(
            Box<RetryCall<Waiting<S>, B>>,
            Recorder,
            Trace,
        ) -> retry::ResponseFuture<Waiting<S>, B, WaitBody<AttemptBody<R>>>,
    ) -> Layers<S, B>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let trace = Trace::under_way(self.began);
        self.call.follow(trace.clone());
        let owner = Recorder::owning(trace.clone());
        let Some(bound) = self.bound else {
            let attempt = Attempt::under_way(retry(self.call, owner, trace));
            return deadline::ResponseFuture::passing(attempt, Recorder::default());
        };
        let recorder = Recorder::noting(trace.clone());
        let attempt = Attempt::under_way(retry(self.call, recorder, trace));
        deadline::ResponseFuture::bound(attempt, bound, owner)
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
        let over = bound.poll_over(cx, || Some(Trace::under_way(began)));
        over.map(|error| Recorder::owning(Trace::under_way(began)).failed(error))
    }

    /// The answer goes up; `watch` is `None` if it has told the gate already.
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
