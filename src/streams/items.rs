use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tonic::Status;

use super::{Event, Resumable};

/// The messages of a [`Resumable`] without its gaps: it ends at the first gap, with DATA_LOSS.
///
/// ```
/// use grpc_resilience::streams::Resumable;
/// use tokio_stream::StreamExt as _;
/// use tonic::{Request, Response, Status};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let numbers = Resumable::builder(Request::new(1), |request: Request<u64>| async move {
///     let numbers = (request.into_inner()..4).map(Ok::<_, Status>);
///     Ok(Response::new(tokio_stream::iter(numbers)))
/// })
/// .token(|number| Some(*number))
/// .resume(|_first, last| last + 1)
/// .build()?;
///
/// let numbers: Result<Vec<_>, _> = numbers.into_items().collect().await;
/// assert_eq!(numbers?, [1, 2, 3]);
/// # Ok(())
/// # }
/// ```
pub struct Items<T, Token> {
    /// `None` once it is over.
    events: Option<Resumable<T, Token>>,
}

impl<T, Token: Clone + PartialEq> Resumable<T, Token> {
    /// The messages alone, for a caller that no gap concerns. A gap ends this stream with
    /// DATA_LOSS, so that none stays unseen.
    #[must_use]
    pub fn into_items(self) -> Items<T, Token> {
        Items { events: Some(self) }
    }
}

impl<T, Token: Clone + PartialEq> Stream for Items<T, Token> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(events) = &mut self.events else {
            return Poll::Ready(None);
        };
        let event = ready!(events.poll_event(cx));
        Poll::Ready(match event {
            Some(Ok(Event::Item(item))) => Some(Ok(item)),
            Some(Ok(Event::Gap(gap))) => {
                events.ends_at_gap();
                self.events = None;
                let why = gap.status.as_ref().map(crate::grpc::Status::message);
                let why = why.unwrap_or("the server said so in a message");
                Some(Err(Status::data_loss(format!(
                    "messages of the stream are lost: {why}"
                ))))
            }
            Some(Err(status)) => Some(Err(status)),
            None => None,
        })
    }
}

impl<T, Token> fmt::Debug for Items<T, Token> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Items").field(&self.events).finish()
    }
}
