//! Reads the remote address from tonic's extensions.

use std::net::{IpAddr, Ipv6Addr};

use http::request::Parts;
use tonic::metadata::MetadataMap;

/// The network that shares a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    /// One address.
    V4([u8; 4]),
    /// A /64: a single host controls one, and may change its address within it.
    V6([u8; 16]),
}

/// The network of the remote address of a TCP connection, with or without TLS.
pub(super) fn network(parts: &mut Parts) -> Option<Network> {
    // Only tonic knows the types under which its servers store the address.
    let extensions = std::mem::take(&mut parts.extensions);
    let request = tonic::Request::from_parts(MetadataMap::new(), extensions, ());
    let address = request.remote_addr();
    (_, parts.extensions, ()) = request.into_parts();
    address.map(|address| network_of(address.ip()))
}

fn network_of(address: IpAddr) -> Network {
    match address {
        IpAddr::V4(address) => Network::V4(address.octets()),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            v4_within(address).map_or(Network::V6(prefix.to_be_bytes()), Network::V4)
        }
    }
}

/// The IPv4 address within an IPv6 address: as an IPv6 socket shows it, `::ffff:a.b.c.d`, or as a
/// translator does, `64:ff9b::a.b.c.d` (RFC 6052). By their /64 all would be one network.
fn v4_within(address: Ipv6Addr) -> Option<[u8; 4]> {
    let translated = match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Some([a, b, c, d])
        }
        _ => None,
    };
    let mapped = address.to_ipv4_mapped();
    mapped.map(|mapped| mapped.octets()).or(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        network_of(address.parse().unwrap())
    }

    #[test]
    fn addresses_of_a_64_are_one_network_and_the_next_64_is_another() {
        let one = network("2001:db8:1:2::1");
        assert_eq!(one, network("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(one, network("2001:db8:1:3::1"));
        assert_ne!(network("::1"), network("127.0.0.1"));
    }

    #[test]
    fn an_address_of_ipv4_is_the_same_however_it_is_written() {
        let plain = Network::V4([192, 0, 2, 33]);
        for address in ["192.0.2.33", "::ffff:192.0.2.33", "64:ff9b::192.0.2.33"] {
            assert_eq!(network(address), plain, "{address}");
            assert_ne!(network(address), network("::ffff:192.0.2.34"));
        }
        // The deprecated form is not treated as IPv4.
        assert_eq!(network("::192.0.2.33"), Network::V6([0; 16]));
    }
}
