use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_util::sync::WaitForCancellationFutureOwned;

use super::shared::Shared;

/// Tells a handler of the drain (CONTRACT E2). As a future it is ready at the GOAWAY.
///
/// A stream that ends by itself then is finished; one that does not is cut off at the hard stop. It
/// does not end earlier, because during the notice time its client could open it again on this
/// server, which still serves.
///
/// [`Drain::draining`](super::Drain::draining) makes it, and under a
/// [`DrainLayer`](super::DrainLayer) each request has it among its extensions.
///
/// ```
/// use grpc_resilience::drain::Draining;
/// use tokio_stream::{Stream, StreamExt as _};
/// use tonic::Status;
///
/// /// The next message of a server stream, which ends when the server drains.
/// async fn next(
///     prices: &mut (impl Stream<Item = f64> + Unpin),
///     draining: &mut Draining, // request.extensions().get::<Draining>().cloned()
/// ) -> Option<Result<f64, Status>> {
///     let elsewhere = Status::unavailable("the server drains: open the stream again");
///     tokio::select! {
///         price = prices.next() => price.map(Ok),
///         () = draining => Some(Err(elsewhere)),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Draining {
    shared: Arc<Shared>,
    goaway: Goaway,
}

/// A clone waits anew.
#[derive(Default)]
struct Goaway(Option<Pin<Box<WaitForCancellationFutureOwned>>>);

impl Clone for Goaway {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Draining {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let goaway = Goaway::default();
        Self { shared, goaway }
    }

    /// Whether the drain has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.started.is_cancelled()
    }

    /// Returns when the drain begins, before health and hooks: the time to take no new long work.
    pub async fn started(&self) {
        self.shared.started.cancelled().await;
    }

    /// The time that is left until the hard stop; `None` before the drain.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let grace = self.shared.times.grace;
        let elapsed = self.is_draining().then(|| self.shared.elapsed())?;
        Some(grace.saturating_sub(elapsed))
    }
}

impl Future for Draining {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { shared, goaway } = &mut *self;
        let wait = || Box::pin(shared.goaway.clone().cancelled_owned());
        goaway.0.get_or_insert_with(wait).as_mut().poll(cx)
    }
}

impl fmt::Debug for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draining")
            .field("is_draining", &self.is_draining())
            .field("remaining", &self.remaining())
            .finish()
    }
}
