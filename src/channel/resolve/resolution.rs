use std::net::SocketAddr;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::channel::address::Address;

/// All addresses of a target at one time, in the resolver's order. Duplicates count once.
///
/// A set without an address is an authoritative answer: the target has none.
///
/// ```
/// use grpc_resilience::channel::resolve::Resolution;
/// use std::net::SocketAddr;
///
/// let one: SocketAddr = "10.0.0.1:50051".parse()?;
/// let two: SocketAddr = "10.0.0.2:50051".parse()?;
/// let resolution: Resolution = [one, two, one].into_iter().collect();
/// assert_eq!(resolution.addresses().len(), 2);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolution {
    addresses: Arc<[ResolvedAddress]>,
}

/// One address of a target, with what is known of the server there.
///
/// ```
/// use grpc_resilience::channel::resolve::ResolvedAddress;
/// use std::net::SocketAddr;
///
/// let address: SocketAddr = "10.0.0.1:443".parse()?;
/// let address = ResolvedAddress::from(address).with_server_name("orders-1.prod");
/// assert_eq!(address.server_name.as_deref(), Some("orders-1.prod"));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ResolvedAddress {
    /// Where the server listens.
    pub address: Address,
    /// The name for which the server's certificate has to be valid. Default: the channel's, which
    /// is the host of its authority.
    pub server_name: Option<Arc<str>>,
}

impl Resolution {
    /// These addresses. Of entries with one address, the first counts (CONTRACT N4).
    pub fn new<A: Into<ResolvedAddress>>(addresses: impl IntoIterator<Item = A>) -> Self {
        let mut seen = FxHashSet::default();
        let addresses = addresses.into_iter().map(Into::into);
        let addresses = addresses.filter(|it: &ResolvedAddress| seen.insert(it.address.clone()));
        Self {
            addresses: addresses.collect(),
        }
    }

    /// Each address once.
    #[must_use]
    pub fn addresses(&self) -> &[ResolvedAddress] {
        &self.addresses
    }

    /// Whether the target has no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }
}

impl<A: Into<ResolvedAddress>> FromIterator<A> for Resolution {
    fn from_iter<I: IntoIterator<Item = A>>(addresses: I) -> Self {
        Self::new(addresses)
    }
}

impl ResolvedAddress {
    /// Sets the name for which the server's certificate has to be valid.
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.server_name = Some(name.into());
        self
    }
}

impl From<Address> for ResolvedAddress {
    fn from(address: Address) -> Self {
        Self {
            address,
            server_name: None,
        }
    }
}

impl From<SocketAddr> for ResolvedAddress {
    fn from(address: SocketAddr) -> Self {
        Address::Tcp(address).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> ResolvedAddress {
        text.parse::<SocketAddr>().unwrap().into()
    }

    // CONTRACT N4
    #[test]
    fn duplicates_count_once_and_the_order_stays() {
        let named = tcp("10.0.0.2:1").with_server_name("b");
        let given = [
            named.clone(),
            tcp("10.0.0.1:1"),
            tcp("10.0.0.2:1"),
            tcp("10.0.0.2:2"),
        ];
        let expected = [named, tcp("10.0.0.1:1"), tcp("10.0.0.2:2")];
        assert_eq!(Resolution::new(given).addresses(), expected);
    }
}
