use http::uri::Authority;

#[cfg(feature = "_tls-any")]
use crate::channel::address::Address;

/// The name that servers' certificates must be for, as long as no `domain_name` is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::channel) struct PeerName {
    host: String,
    /// The host is the target's address: each endpoint has its own.
    is_address: bool,
}

impl PeerName {
    /// That of an origin that was set, else of the target, if there is one.
    pub(in crate::channel) fn of(origin: Option<&Authority>, target: Option<&Authority>) -> Self {
        let host = origin.or(target).map_or("localhost", host);
        Self {
            host: host.to_owned(),
            is_address: origin.is_none() && host.parse::<std::net::IpAddr>().is_ok(),
        }
    }

    /// A name or an IP address.
    #[cfg(feature = "_tls-any")]
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The endpoint's own address, if that is its name.
    #[cfg(feature = "_tls-any")]
    pub(super) fn own_address(&self, address: &Address) -> Option<std::net::IpAddr> {
        match address {
            Address::Tcp(address) if self.is_address => Some(address.ip()),
            _ => None,
        }
    }
}

/// Without the brackets of IPv6.
fn host(authority: &Authority) -> &str {
    let host = authority.host();
    let inside = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inside.unwrap_or(host)
}

#[cfg(all(test, feature = "_tls-any"))]
mod tests {
    use super::*;

    // CONTRACT N1
    #[test]
    fn an_endpoint_of_a_list_of_addresses_has_its_own_as_its_name() {
        let second = Address::Tcp("10.0.0.2:443".parse().unwrap());
        let unix = Address::Unix("/run/o.sock".into());
        for (authority, host) in [
            ("10.0.0.1:443", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]:443", "::1"),
        ] {
            let authority = authority.parse().unwrap();
            let name = PeerName::of(None, Some(&authority));
            assert_eq!(name.host(), host);
            let own = name.own_address(&second).unwrap();
            assert_eq!(own.to_string(), "10.0.0.2");
            assert_eq!(name.own_address(&unix), None);
            // An address that the user sets is that of all endpoints.
            let name = PeerName::of(Some(&authority), None);
            assert_eq!((name.host(), name.own_address(&second)), (host, None));
        }
        let orders = "orders.prod:443".parse().unwrap();
        let name = PeerName::of(None, Some(&orders));
        assert_eq!(name.host(), "orders.prod");
        assert_eq!(name.own_address(&second), None);
    }
}
