use std::fmt;
use std::task::{Context, Poll, ready};

use tokio::sync::watch;
use tokio_util::sync::ReusableBoxFuture;

use super::{Resolution, ResolveError, ResolvedAddress, Resolver};

/// Addresses that a task of yours holds in a `tokio::sync::watch` channel.
///
/// Each value is the whole set. An empty one counts as an authoritative answer: the channel keeps
/// the last addresses for 60 s. When the sender is dropped, the last value stands.
///
/// ```
/// use grpc_resilience::channel::resolve::Watched;
/// use std::net::SocketAddr;
/// use tokio::sync::watch;
///
/// let one: SocketAddr = "10.0.0.1:50051".parse()?;
/// let two: SocketAddr = "10.0.0.2:50051".parse()?;
/// let (addresses, receiver) = watch::channel(vec![one]);
/// let resolver = Watched::new(receiver);
/// addresses.send_replace(vec![one, two]);
/// # let _ = resolver;
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub struct Watched<A> {
    next: ReusableBoxFuture<'static, Changed<A>>,
}

/// The receiver, and whether it has a value that was not read.
type Changed<A> = (watch::Receiver<Vec<A>>, bool);

impl<A> Watched<A>
where
    A: Into<ResolvedAddress> + Clone + Send + Sync + 'static,
{
    /// The values of this receiver, the present one first. The items are an
    /// [`Address`](crate::channel::Address), a `SocketAddr` or a [`ResolvedAddress`].
    #[must_use]
    pub fn new(mut receiver: watch::Receiver<Vec<A>>) -> Self {
        receiver.mark_changed();
        Self {
            next: ReusableBoxFuture::new(changed(receiver)),
        }
    }
}

async fn changed<A>(mut receiver: watch::Receiver<Vec<A>>) -> Changed<A> {
    // A value that was sent before the sender was dropped comes first.
    let has_value = receiver.changed().await.is_ok();
    (receiver, has_value)
}

impl<A> Resolver for Watched<A>
where
    A: Into<ResolvedAddress> + Clone + Send + Sync + 'static,
{
    fn poll_resolution(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Resolution, ResolveError>>> {
        let (mut receiver, has_value) = ready!(self.next.poll(cx));
        let addresses = has_value.then(|| receiver.borrow_and_update().clone());
        self.next.set(changed(receiver));
        Poll::Ready(addresses.map(|addresses| Ok(Resolution::new(addresses))))
    }
}

impl<A> fmt::Debug for Watched<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::net::SocketAddr;
    use std::time::Duration;
    use tokio::time::timeout;

    fn tcp(host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], 1))
    }

    async fn next(watched: &mut Watched<SocketAddr>) -> Option<Vec<SocketAddr>> {
        let answer = poll_fn(|cx| watched.poll_resolution(cx)).await?.unwrap();
        let addresses = answer.addresses().iter().map(|it| it.address.to_string());
        Some(addresses.map(|it| it.parse().unwrap()).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn it_answers_with_the_present_value_and_each_later_one() {
        let (sender, mut receiver) = watch::channel(vec![tcp(1)]);
        // A value that the caller has seen is news for the channel.
        receiver.mark_unchanged();
        let mut watched = Watched::new(receiver);
        assert_eq!(next(&mut watched).await, Some(vec![tcp(1)]));
        assert!(
            timeout(Duration::from_secs(1), next(&mut watched))
                .await
                .is_err()
        );
        sender.send_replace(vec![tcp(2), tcp(3), tcp(2)]);
        assert_eq!(next(&mut watched).await, Some(vec![tcp(2), tcp(3)]));
        let later = tokio::spawn(async move { next(&mut watched).await });
        tokio::task::yield_now().await;
        sender.send_replace(Vec::new());
        assert_eq!(later.await.unwrap(), Some(Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_value_comes_before_the_end() {
        let (sender, receiver) = watch::channel(vec![tcp(1)]);
        let mut watched = Watched::new(receiver);
        assert_eq!(next(&mut watched).await, Some(vec![tcp(1)]));
        sender.send_replace(vec![tcp(2)]);
        drop(sender);
        assert_eq!(next(&mut watched).await, Some(vec![tcp(2)]));
        assert_eq!(next(&mut watched).await, None);
    }
}
