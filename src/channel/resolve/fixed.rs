use std::task::{Context, Poll};

use super::{Resolution, ResolveError, Resolver};

/// Addresses that never change.
///
/// A target like `ipv4:10.0.0.1:50051,10.0.0.2:50051` does the same. This one takes a name for the
/// certificate of each server too:
///
/// ```
/// use grpc_resilience::channel::resolve::{Fixed, Resolution, ResolvedAddress};
/// use std::net::SocketAddr;
///
/// let one: SocketAddr = "10.0.0.1:443".parse()?;
/// let two: SocketAddr = "10.0.0.2:443".parse()?;
/// let resolver = Fixed::new(Resolution::new([
///     ResolvedAddress::from(one).with_server_name("orders-1.prod"),
///     ResolvedAddress::from(two).with_server_name("orders-2.prod"),
/// ]));
/// # let _ = resolver;
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fixed {
    resolution: Option<Resolution>,
}

impl Fixed {
    /// These addresses.
    #[must_use]
    pub fn new(resolution: Resolution) -> Self {
        Self {
            resolution: Some(resolution),
        }
    }
}

impl Resolver for Fixed {
    fn poll_resolution(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Resolution, ResolveError>>> {
        Poll::Ready(self.resolution.take().map(Ok))
    }
}
