use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project::pin_project;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::DrainIo;
use super::shared::Shared;

/// The connections of a draining server; see [`Drain::incoming`](super::Drain::incoming).
///
/// The stream ends at the GOAWAY: a connection that is accepted after it is closed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::Drain;
/// use tonic::transport::server::TcpIncoming;
///
/// let drain = Drain::builder().build()?;
/// let incoming = drain.incoming(TcpIncoming::bind("127.0.0.1:0".parse()?)?);
/// # drop(incoming);
/// # Ok(())
/// # }
/// ```
#[pin_project]
#[derive(Debug)]
pub struct DrainIncoming<I> {
    /// `None` from the GOAWAY on: it is dropped, and with it the listener, which would take further
    /// connections for as long as the server ends its calls.
    #[pin]
    incoming: Option<I>,
    shared: Arc<Shared>,
    goaway: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<I> DrainIncoming<I> {
    pub(super) fn new(incoming: I, shared: Arc<Shared>) -> Self {
        let goaway = Box::pin(shared.goaway.clone().cancelled_owned());
        Self {
            incoming: Some(incoming),
            shared,
            goaway,
        }
    }
}

impl<I, IO, E> Stream for DrainIncoming<I>
where
    I: Stream<Item = Result<IO, E>>,
{
    type Item = Result<DrainIo<IO>, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        // Before the connections: one that came at the same time would be accepted after GOAWAY.
        if this.goaway.as_mut().poll(cx).is_ready() {
            this.incoming.set(None);
            return Poll::Ready(None);
        }
        let Some(incoming) = this.incoming.as_pin_mut() else {
            return Poll::Ready(None);
        };
        let accepted = ready!(incoming.poll_next(cx));
        let wrap = |io| DrainIo::new(io, this.shared);
        Poll::Ready(accepted.map(|accepted| accepted.map(wrap)))
    }
}
