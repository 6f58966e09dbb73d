use std::fmt;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tower::discover::{Change, Discover};

use super::{Resolution, ResolveError, ResolvedAddress, Resolver};
use crate::error::BoxError;

/// Addresses that come and go one by one, as tower's `Change`s: those of tonic's
/// `Channel::balance_channel`, with an address in place of the `Endpoint`.
///
/// Changes that come together count together. When all addresses were removed, the channel keeps
/// the last ones for 60 s. When the stream ends, the last set stands.
///
/// ```
/// use grpc_resilience::channel::resolve::Changes;
/// use std::net::SocketAddr;
/// use tower::discover::Change;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (changes, resolver) = Changes::channel(16);
/// let address: SocketAddr = "10.0.0.1:50051".parse()?;
/// changes.send(Change::Insert("orders-1", address)).await?;
/// # let _ = resolver;
/// # Ok(())
/// # }
/// ```
pub struct Changes<K, A> {
    source: Source<K, A>,
    /// In the order in which their keys came.
    present: Vec<(K, A)>,
    /// Since the last answer.
    has_changed: bool,
    has_ended: bool,
}

type Source<K, A> = Box<dyn FnMut(&mut Context<'_>) -> Poll<Next<K, A>> + Send>;
type Next<K, A> = Option<Result<Change<K, A>, BoxError>>;

/// The most changes that count together, so that a stream that is always ready is heard, too.
const BATCH: usize = 1_024;

impl<K, A> Changes<K, A>
where
    K: Eq + Send + 'static,
    A: Into<ResolvedAddress> + Clone + Send + 'static,
{
    /// The changes of this stream; every `TryStream` of [`Change`]s is a [`Discover`].
    ///
    /// An error of the stream keeps the last addresses, as any failed resolution does; the stream
    /// is polled further.
    pub fn new<D>(discover: D) -> Self
    where
        D: Discover<Key = K, Service = A> + Send + 'static,
        D::Error: Into<BoxError>,
    {
        let mut discover = Box::pin(discover);
        Self::of(move |cx| {
            let next = discover.as_mut().poll_discover(cx);
            next.map(|change| change.map(|change| change.map_err(Into::into)))
        })
    }

    /// A sender of changes, and the resolver that takes them. At most `capacity` of them wait.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    #[must_use]
    pub fn channel(capacity: usize) -> (mpsc::Sender<Change<K, A>>, Self) {
        let (sender, mut receiver) = mpsc::channel(capacity);
        let changes = Self::of(move |cx| receiver.poll_recv(cx).map(|change| change.map(Ok)));
        (sender, changes)
    }

    fn of(source: impl FnMut(&mut Context<'_>) -> Poll<Next<K, A>> + Send + 'static) -> Self {
        Self {
            source: Box::new(source),
            present: Vec::new(),
            has_changed: false,
            has_ended: false,
        }
    }

    fn apply(&mut self, change: Change<K, A>) {
        match change {
            Change::Insert(key, address) => {
                match self.present.iter_mut().find(|(present, _)| *present == key) {
                    Some((_, place)) => *place = address,
                    None => self.present.push((key, address)),
                }
            }
            Change::Remove(key) => self.present.retain(|(present, _)| *present != key),
        }
    }

    fn resolution(&self) -> Resolution {
        let addresses = self.present.iter().map(|(_, address)| address.clone());
        addresses.collect()
    }
}

impl<K, A> Resolver for Changes<K, A>
where
    K: Eq + Send + 'static,
    A: Into<ResolvedAddress> + Clone + Send + 'static,
{
    fn poll_resolution(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Resolution, ResolveError>>> {
        for _ in 0..BATCH {
            if self.has_ended {
                break;
            }
            match (self.source)(cx) {
                Poll::Ready(Some(Ok(change))) => {
                    self.apply(change);
                    self.has_changed = true;
                }
                Poll::Ready(Some(Err(error))) => {
                    // The changes before it are in the next answer.
                    let error =
                        ResolveError::new("the target", "its discovery failed").with_source(error);
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => self.has_ended = true,
                Poll::Pending if self.has_changed => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        let has_changed = std::mem::take(&mut self.has_changed);
        Poll::Ready(has_changed.then(|| Ok(self.resolution())))
    }
}

impl<K, A> fmt::Debug for Changes<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("present", &self.present.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;
    use std::future::poll_fn;
    use std::io;
    use std::net::SocketAddr;
    use std::time::Duration;
    use tokio::time::timeout;
    use tokio_stream::StreamExt as _;
    use tokio_stream::wrappers::ReceiverStream;

    fn tcp(host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], 1))
    }

    type Answer = Option<Result<Vec<String>, ResolveError>>;

    async fn next<K: Eq + Send + 'static>(changes: &mut Changes<K, SocketAddr>) -> Answer {
        let answer = poll_fn(|cx| changes.poll_resolution(cx)).await;
        answer.map(|answer| {
            let set = answer?;
            let addresses = set.addresses().iter().map(|it| it.address.to_string());
            Ok(addresses.collect())
        })
    }

    async fn set(changes: &mut Changes<&'static str, SocketAddr>) -> Vec<String> {
        next(changes).await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn changes_that_come_together_count_together() {
        let (sender, mut changes) = Changes::channel(8);
        assert!(
            timeout(Duration::from_secs(1), next(&mut changes))
                .await
                .is_err()
        );
        for change in [
            Change::Insert("a", tcp(1)),
            Change::Insert("b", tcp(2)),
            Change::Insert("a", tcp(3)),
            Change::Remove("c"),
        ] {
            sender.send(change).await.unwrap();
        }
        assert_eq!(set(&mut changes).await, ["10.0.0.3:1", "10.0.0.2:1"]);
        sender.send(Change::Remove("a")).await.unwrap();
        assert_eq!(set(&mut changes).await, ["10.0.0.2:1"]);
        sender.send(Change::Remove("b")).await.unwrap();
        assert_eq!(set(&mut changes).await, Vec::<String>::new());
    }

    // CONTRACT N4
    #[tokio::test(start_paused = true)]
    async fn two_keys_of_one_address_count_once_until_both_are_removed() {
        let (sender, mut changes) = Changes::channel(8);
        for key in ["a", "b"] {
            sender.send(Change::Insert(key, tcp(1))).await.unwrap();
        }
        assert_eq!(set(&mut changes).await, ["10.0.0.1:1"]);
        sender.send(Change::Remove("a")).await.unwrap();
        assert_eq!(set(&mut changes).await, ["10.0.0.1:1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_before_the_end_counts() {
        let (sender, mut changes) = Changes::channel(8);
        sender.send(Change::Insert("a", tcp(1))).await.unwrap();
        drop(sender);
        assert_eq!(set(&mut changes).await, ["10.0.0.1:1"]);
        assert!(next(&mut changes).await.is_none());
    }

    // CONTRACT N2
    #[tokio::test(start_paused = true)]
    async fn an_error_of_the_stream_loses_no_change() {
        let (sender, receiver) = mpsc::channel(8);
        let stream = ReceiverStream::new(receiver).map(|change| match change {
            Some(host) => Ok(Change::Insert(host, tcp(host))),
            None => Err(io::Error::other("the registry is down")),
        });
        let mut changes = Changes::new(stream);
        for change in [Some(1), None] {
            sender.send(change).await.unwrap();
        }
        let error = next(&mut changes).await.unwrap().unwrap_err();
        assert!(!error.is_authoritative());
        assert_eq!(error.source().unwrap().to_string(), "the registry is down");
        assert_eq!(next(&mut changes).await.unwrap().unwrap(), ["10.0.0.1:1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_always_ready_is_heard() {
        let stream = tokio_stream::iter(0_u64..)
            .map(|key| Ok::<_, io::Error>(Change::Insert(key % 9, tcp(1))));
        let mut changes = Changes::new(stream);
        let answer = poll_fn(|cx| Poll::Ready(changes.poll_resolution(cx).is_ready()));
        assert!(answer.await);
    }
}
