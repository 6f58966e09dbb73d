use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Where one server listens.
///
/// A connector of your own is a `tower::Service<Address>`; see
/// [`Builder::connector`](super::Builder::connector).
///
/// ```
/// use grpc_resilience::channel::Address;
///
/// let address = Address::Tcp("10.0.0.1:50051".parse().unwrap());
/// assert_eq!(address.to_string(), "10.0.0.1:50051");
/// let address = Address::Unix("/run/orders.sock".into());
/// assert_eq!(address.to_string(), "unix:/run/orders.sock");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket in the file system.
    Unix(PathBuf),
    /// A Unix socket in Linux's abstract namespace, by its name without the leading zero byte.
    Abstract(Arc<str>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix-abstract:{name}"),
        }
    }
}
