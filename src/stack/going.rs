use std::num::NonZero;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::body::RequestBody;
use crate::dispatch::{Attempt, Essentials, Head, Recorder};
use crate::error::{BoxError, Error};
use crate::layers::attempt_timeout::{self, AttemptBody};
use crate::layers::deadline::{self, DeadlineTimer};
use crate::layers::retry::{self, KeptRequest, RetryCall};
use crate::layers::wait_for_ready::{self, WaitBody};
use crate::report::{Trace, Waited};

use super::answered::Answered;
use super::layered::{Inner, Waiting};
use super::said::Said;
use super::span::Span;

/// An ordinary call whose first attempt is under way: what the layers need of it if that fails.
pub(super) struct Going<S, B: RequestBody> {
    kept: KeptRequest<Waiting<S>, B>,
    pub(super) essentials: Essentials,
    /// `None` if it is the path alone, which was said. By itself in memory: few are more.
    uri: Option<Box<Uri>>,
    pub(super) said: Arc<Said>,
    /// That of the channel in which it went.
    generation: NonZero<u64>,
    pub(super) span: Span,
}

/// The future of all layers.
pub(super) type Layers<S, B> = deadline::ResponseFuture<Inner<S>, B>;

impl<S: Clone, B: RequestBody> Going<S, B> {
    #[inline]
    pub(super) fn new(
        uri: &Uri,
        essentials: Essentials,
        kept: KeptRequest<Waiting<S>, B>,
        said: Arc<Said>,
        generation: NonZero<u64>,
        span: Span,
    ) -> Box<Self> {
        Box::new(Self {
            kept,
            essentials,
            uri: besides_path(uri),
            said,
            generation,
            span,
        })
    }

    /// The layers take the call up at what its first attempt came to, of which the gate was not
    /// told.
    #[cold]
    pub(super) fn taken_up<R>(self, mut outcome: Result<Response<R>, Error>) -> Layers<S, B>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let ticket = self.said.ticket(self.generation);
        let (waited, has_told_wait) = match &mut outcome {
            Ok(response) => (Waited::take(response.extensions_mut()), false),
            Err(error) => (None, error.has_told_wait()),
        };
        self.under_layers(|call, recorder, trace| {
            if let Some(waited) = waited {
                trace.waited(waited);
            }
            if has_told_wait {
                // The channel knew of no trace to write it into.
                trace.tells_wait();
            }
            let attempt = Attempt::known(outcome);
            let attempt = attempt_timeout::ResponseFuture::new(attempt, None, Recorder::default());
            let attempt = Attempt::under_way(attempt);
            let below = Recorder::noting(trace);
            let attempt = wait_for_ready::ResponseFuture::going(attempt, ticket, None, below);
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
        let uri = self.uri.as_deref().unwrap_or(&self.said.uri);
        let trace = self.span.trace(Some(uri), None);
        let mut context = self.said.context.clone();
        context.set_trace(trace.clone());
        if let Some(deadline) = self.span.bound().and_then(DeadlineTimer::deadline) {
            context.bound(deadline);
            context.time();
        }
        let uri = self.uri.map_or_else(|| self.said.uri.clone(), |uri| *uri);
        let head = Head::put_together(uri, context, self.essentials);
        let request = match self.span.bound() {
            Some(_) => self.kept.end_with_call(),
            None => None,
        };
        let call = RetryCall::under_way(self.kept, head, Arc::clone(&self.said.policy));
        let owner = Recorder::owning(trace.clone());
        let home = self.said.home.clone();
        let Some(bound) = self.span.into_bound() else {
            let attempt = Attempt::under_way(retry(call, owner, trace));
            return deadline::ResponseFuture::passing(attempt, Recorder::default());
        };
        let recorder = Recorder::noting(trace.clone());
        let attempt = Attempt::under_way(retry(call, recorder, trace));
        let bound = bound.at_home(Arc::new(home));
        deadline::ResponseFuture::bound(attempt, bound, owner).guarding(request)
    }

    /// Whether the head of its answer is held until the first frame.
    pub(super) fn answers_once(&self) -> bool {
        self.said.answers_once()
    }

    /// Wakes the task when the call must end.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let uri = self.uri.as_deref().unwrap_or(&self.said.uri);
        self.span
            .poll_over(cx, Some(&self.said.home), Some(uri), None)
    }

    /// The server has answered; the gate is told.
    #[inline]
    pub(super) fn heard(&self) {
        self.said.gate.answered(self.generation);
    }

    /// Its answer ended like this after that; the gate is told.
    pub(super) fn broke_off(&self, error: &Error) {
        self.said.gate.broke_off(self.generation.get(), error);
    }

    /// The answer goes up; `is_watched` unless it broke off already.
    #[inline]
    pub(super) fn answered(self: Box<Self>, is_watched: bool) -> Answered {
        let Self {
            mut kept,
            said,
            generation,
            span,
            ..
        } = *self;
        Answered {
            request: kept.answered(),
            said: Some(said),
            generation: is_watched.then_some(generation),
            span,
            since: Instant::now(),
        }
    }
}

/// A URI, if it says more than the path.
#[inline]
fn besides_path(uri: &Uri) -> Option<Box<Uri>> {
    let is_path = uri.scheme().is_none() && uri.authority().is_none() && uri.query().is_none();
    (!is_path).then(|| Box::new(uri.clone()))
}
