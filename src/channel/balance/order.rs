//! The order in which a channel tries addresses when it connects to one of them (CONTRACT L6).

use std::net::SocketAddr;

use crate::channel::address::Address;
use crate::channel::resolve::ResolvedAddress;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    Other,
}

fn family(address: &ResolvedAddress) -> Family {
    match address.address {
        Address::Tcp(SocketAddr::V4(_)) => Family::V4,
        Address::Tcp(SocketAddr::V6(_)) => Family::V6,
        Address::Unix(_) | Address::Abstract(_) => Family::Other,
    }
}

/// The families in turn, beginning with that of the first address (gRFC A61, RFC 8305 section 4):
/// if one of them does not work, no more than one address of it is tried in vain.
pub(super) fn interleaved(addresses: &[ResolvedAddress]) -> Vec<ResolvedAddress> {
    let mut families: Vec<(Family, Vec<&ResolvedAddress>)> = Vec::new();
    for address in addresses {
        let family = family(address);
        match families.iter_mut().find(|(it, _)| *it == family) {
            Some((_, list)) => list.push(address),
            None => families.push((family, vec![address])),
        }
    }
    let longest = families.iter().map(|(_, list)| list.len()).max();
    (0..longest.unwrap_or(0))
        .flat_map(|turn| families.iter().filter_map(move |(_, list)| list.get(turn)))
        .map(|address| (*address).clone())
        .collect()
}

/// In a random order (gRFC A62), by numbers below the given ones.
pub(super) fn shuffled(
    addresses: &[ResolvedAddress],
    mut below: impl FnMut(usize) -> usize,
) -> Vec<ResolvedAddress> {
    let mut addresses = addresses.to_vec();
    for last in (1..addresses.len()).rev() {
        addresses.swap(last, below(last + 1));
    }
    addresses
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(text: &str) -> ResolvedAddress {
        text.parse::<SocketAddr>().unwrap().into()
    }

    fn names(addresses: &[ResolvedAddress]) -> Vec<String> {
        addresses.iter().map(|it| it.address.to_string()).collect()
    }

    // CONTRACT L6
    #[test]
    fn families_take_turns_and_that_of_the_first_address_begins() {
        let given = ["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1", "10.0.0.2:1"].map(tcp);
        assert_eq!(
            names(&interleaved(&given)),
            ["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::3]:1"]
        );
        let given = ["10.0.0.1:1", "10.0.0.2:1", "[::1]:1"].map(tcp);
        assert_eq!(
            names(&interleaved(&given)),
            ["10.0.0.1:1", "[::1]:1", "10.0.0.2:1"]
        );
        let unix = ["/a", "/b"].map(|path| Address::Unix(path.into()).into());
        let given = [&unix[..], &[tcp("10.0.0.1:1")]].concat();
        assert_eq!(
            names(&interleaved(&given)),
            ["unix:/a", "10.0.0.1:1", "unix:/b"]
        );
        assert_eq!(names(&interleaved(&[])), [""; 0]);
    }

    proptest! {
        // CONTRACT L6
        #[test]
        fn a_shuffle_keeps_each_address(count in 0_u16..30, draws in prop::collection::vec(0_usize..100, 30)) {
            let given: Vec<_> = (0..count).map(|port| tcp(&format!("10.0.0.1:{port}"))).collect();
            let mut draws = draws.into_iter();
            let shuffled = shuffled(&given, |most| draws.next().unwrap() % most);
            let (mut before, mut after) = (names(&given), names(&shuffled));
            before.sort();
            after.sort();
            prop_assert_eq!(before, after);
        }
    }

    // CONTRACT L6
    #[test]
    fn a_shuffle_follows_its_draws() {
        let given = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"].map(tcp);
        let first = names(&shuffled(&given, |_| 0));
        assert_eq!(first, ["10.0.0.2:1", "10.0.0.3:1", "10.0.0.1:1"]);
        let last = names(&shuffled(&given, |most| most - 1));
        assert_eq!(last, names(&given));
    }
}
