use http::uri::Authority;

/// The name that servers' certificates must be for, as long as no `domain_name` is set and their
/// addresses have no names of their own: those of a target with several hosts have (CONTRACT N1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::channel) struct PeerName {
    host: String,
}

impl PeerName {
    /// That of an origin that was set, else of the target, if there is one.
    pub(in crate::channel) fn of(origin: Option<&Authority>, target: Option<&Authority>) -> Self {
        let host = origin.or(target).map_or("localhost", host);
        Self {
            host: host.to_owned(),
        }
    }

    /// A name or an IP address.
    #[cfg(feature = "_tls-any")]
    pub(super) fn host(&self) -> &str {
        &self.host
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
    fn the_origin_s_host_counts_and_then_the_target_s() {
        let orders: Authority = "orders.prod:443".parse().unwrap();
        for (authority, host) in [
            ("10.0.0.1:443", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]:443", "::1"),
            ("orders.prod", "orders.prod"),
        ] {
            let authority = authority.parse().unwrap();
            assert_eq!(PeerName::of(None, Some(&authority)).host(), host);
            assert_eq!(PeerName::of(Some(&authority), Some(&orders)).host(), host);
        }
        assert_eq!(PeerName::of(None, None).host(), "localhost");
    }
}
