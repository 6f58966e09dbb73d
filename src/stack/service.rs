use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::body::RequestBody;
use crate::call::{self, BudgetSnapshot};
use crate::dispatch::Readied;
use crate::error::{BoxError, Error};
use crate::events::{self, Once};
use crate::layers::budget::BudgetLayer;
use crate::layers::wait_for_ready::Readiness;

use super::ordinary::Ordinary;
use super::{ResilientBody, ResponseFuture};

/// A channel under the whole stack, made by [`Resilience::wrap`](super::Resilience::wrap).
///
/// ```
/// # use grpc_resilience::Resilient;
/// # use tonic::transport::Channel;
/// struct Shop {
///     orders: Resilient<Channel>, // or OrdersClient<Resilient<Channel>>
/// }
/// ```
pub struct Resilient<S> {
    channel: Readied<S>,
    shared: Arc<Shared<S>>,
}

/// State shared by the clones of a service.
struct Shared<S> {
    ordinary: Ordinary<S>,
    budget: BudgetLayer,
    readiness: Readiness,
    below_another: Once,
}

impl<S: Clone> Resilient<S> {
    pub(super) fn new(
        channel: S,
        ordinary: Ordinary<S>,
        budget: BudgetLayer,
        readiness: Readiness,
    ) -> Self {
        let shared = Shared {
            ordinary,
            budget,
            readiness,
            below_another: Once::default(),
        };
        Self {
            channel: Readied::new(channel),
            shared: Arc::new(shared),
        }
    }
}

impl<S> Resilient<S> {
    /// The channel.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        self.channel.get_ref()
    }

    /// The channel, without the stack.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.channel.into_inner()
    }

    /// The readiness of this channel, as its calls have shown it: to be read, logged and awaited.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.shared.readiness.clone()
    }

    /// The content and the counters of this channel's budgets, by pattern or method; `/**` is the
    /// budget of all other methods. See [`BudgetLayer::snapshots`].
    ///
    /// ```
    /// # use grpc_resilience::Resilience;
    /// let channel = Resilience::new().wrap(tower::service_fn(|_: ()| async { Ok::<_, ()>(()) }));
    /// let [(name, bucket)] = &channel.budgets()[..] else { unreachable!() };
    /// assert_eq!((&**name, bucket.tokens()), ("/**", Some(300.0)));
    /// ```
    #[must_use]
    pub fn budgets(&self) -> Vec<(String, BudgetSnapshot)> {
        self.shared.budget.snapshots()
    }
}

impl<S, B, R> Service<Request<B>> for Resilient<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResilientBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.channel.poll(cx);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture<S, B, R> {
        let ordinary = &self.shared.ordinary;
        if self.channel.is_ready()
            && let Some(going) = ordinary.begin(&mut request)
        {
            let attempt = self.channel.attempt(request, None, Instant::now);
            return ResponseFuture::going(attempt, going);
        }
        if call::Context::of(request.extensions_mut()).stack() {
            self.shared.below_another.say(events::stack_below_stack);
        }
        let mut layers = ordinary.layers_over(self.channel.hand_over());
        ResponseFuture::layers(layers.call(request))
    }
}

impl<S: Clone> Clone for Resilient<S> {
    fn clone(&self) -> Self {
        Self {
            channel: self.channel.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Resilient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resilient")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}
