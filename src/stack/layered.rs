use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::{Identity, Layer};
use tower_service::Service;

use crate::body::RequestBody;
use crate::call::{self, BudgetSnapshot};
use crate::error::{BoxError, Error};
use crate::events::{self, Once};
use crate::layers::attempt_timeout::AttemptTimeout;
use crate::layers::budget::{self, BudgetLayer};
use crate::layers::deadline::{self, DeadlineBody};
use crate::layers::idempotency::Idempotency;
use crate::layers::retry::{Retry, RetryBody};
use crate::layers::wait_for_ready::{Readiness, WaitForReady};

pub(super) type Waiting<S> = WaitForReady<AttemptTimeout<S>>;
pub(super) type Inner<S, A = Identity> =
    Idempotency<budget::Budget<Retry<<A as Layer<Waiting<S>>>::Service>>>;

/// A channel under the whole stack, with your own layer around each attempt; made by
/// [`Resilience::wrap`](super::Resilience::wrap).
///
/// `A` is the layer that was passed to
/// [`Resilience::attempt_layer`](super::Resilience::attempt_layer).
pub struct ResilientWith<S, A = Identity>
where
    A: Layer<Waiting<S>>,
{
    inner: deadline::Deadline<Inner<S, A>>,
    budget: BudgetLayer,
    readiness: Readiness,
    below_another: Arc<Once>,
}

impl<S, A> ResilientWith<S, A>
where
    A: Layer<Waiting<S>>,
{
    pub(super) fn new(
        inner: deadline::Deadline<Inner<S, A>>,
        budget: BudgetLayer,
        readiness: Readiness,
    ) -> Self {
        Self {
            inner,
            budget,
            readiness,
            below_another: Arc::default(),
        }
    }

    /// The readiness of this channel, as its calls have shown it: to be read, logged and awaited.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// The content and the counters of this channel's budgets, by pattern or method; `/**` is the
    /// budget of all other methods. See [`BudgetLayer::snapshots`].
    #[must_use]
    pub fn budgets(&self) -> Vec<(String, BudgetSnapshot)> {
        self.budget.snapshots()
    }
}

impl<S, A, B, R> Service<Request<B>> for ResilientWith<S, A>
where
    A: Layer<Waiting<S>>,
    A::Service: Service<Request<B>, Response = Response<R>> + Clone,
    <A::Service as Service<Request<B>>>::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<DeadlineBody<RetryBody<R>>>;
    type Error = Error;
    type Future = deadline::ResponseFuture<Inner<S, A>, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if call::Context::of(request.extensions_mut()).stack() {
            self.below_another.say(events::stack_below_stack);
        }
        self.inner.call(request)
    }
}

impl<S, A> Clone for ResilientWith<S, A>
where
    A: Layer<Waiting<S>>,
    A::Service: Clone,
{
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            budget: self.budget.clone(),
            readiness: self.readiness.clone(),
            below_another: Arc::clone(&self.below_another),
        }
    }
}

impl<S, A> fmt::Debug for ResilientWith<S, A>
where
    A: Layer<Waiting<S>>,
    A::Service: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientWith")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
