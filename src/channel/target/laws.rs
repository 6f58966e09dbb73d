//! What holds for any target.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn host() -> impl Strategy<Value = String> {
    let name = "[a-z][a-z0-9_-]{0,9}(\\.[a-z][a-z0-9-]{0,9}){0,3}";
    let v4 = any::<[u8; 4]>().prop_map(|ip| Ipv4Addr::from(ip).to_string());
    let v6 = any::<u128>().prop_map(|ip| format!("[{}]", Ipv6Addr::from(ip)));
    prop_oneof![2 => name, 1 => v4, 1 => v6]
}

/// A target in text, and what it says.
fn a_target() -> impl Strategy<Value = (String, Source)> {
    let port = 1_u16..;
    let schemes = prop_oneof![Just(""), Just("dns:///"), Just("dns:"), Just("http://")];
    let one =
        (schemes, host(), port.clone()).prop_filter("a scheme of its own", |(scheme, host, _)| {
            let words = [
                "dns", "ipv4", "ipv6", "unix", "http", "https", "multi", "consul",
            ];
            !scheme.is_empty() || !words.contains(&&**host)
        });
    let one = one.prop_map(|(scheme, host, port)| {
        let source = match format!("{host}:{port}").parse() {
            Ok(address) => Source::Fixed(vec![Address::Tcp(address)]),
            Err(_) => dns(&host, port),
        };
        (format!("{scheme}{host}:{port}"), source)
    });
    let list = proptest::collection::vec((any::<[u8; 4]>(), port), 1..5);
    let list = list.prop_map(|list| {
        let addresses = list
            .into_iter()
            .map(|(ip, port)| SocketAddr::from((ip, port)));
        let texts: Vec<_> = addresses.map(|address| address.to_string()).collect();
        let mut unique: Vec<&str> = Vec::new();
        for text in &texts {
            if !unique.contains(&&**text) {
                unique.push(text);
            }
        }
        (format!("ipv4:{}", texts.join(",")), fixed(&unique))
    });
    let unix = "/[a-z][a-z/.]{0,20}".prop_map(|path| {
        let source = fixed(&[&path]);
        (format!("unix:{path}"), source)
    });
    prop_oneof![one, list, unix]
}

proptest! {
    // CONTRACT N1
    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), is_tls: bool) {
        let _ = parse(&text, is_tls);
    }

    // CONTRACT N1
    #[test]
    fn no_text_that_begins_like_a_target_makes_it_panic(
        scheme in "(dns|ipv4|ipv6|unix|unix-abstract|http|https|multi|consul)?:?/{0,4}",
        rest in r"[\[\]a-z0-9:,./@#? é-]{0,40}",
        is_tls: bool,
    ) {
        let text = format!("{scheme}{rest}");
        if let Ok(target) = parse(&text, is_tls) {
            prop_assert!(!target.authority.as_str().is_empty());
        }
    }

    // CONTRACT N1
    #[test]
    fn a_target_is_read_as_it_is_written((text, source) in a_target()) {
        prop_assert_eq!(parse(&text, false).unwrap().source, source);
    }

    // CONTRACT N1, N8
    #[test]
    fn the_parts_of_multi_are_read_as_each_of_them(
        targets in proptest::collection::vec(a_target(), 1..5),
    ) {
        // A bare address after `ipv4:` is one more of that list.
        let is_list = |text: &str| text.starts_with("ipv4:");
        let mixes = targets.windows(2).any(|pair| is_list(&pair[0].0) && pair[1].0.starts_with(|it: char| it.is_ascii_digit()));
        prop_assume!(!mixes);
        let (texts, sources): (Vec<_>, Vec<_>) = targets.into_iter().unzip();
        let target = parse(&format!("multi:///{}", texts.join(",")), false).unwrap();
        prop_assert_eq!(target.source, Source::Multi(sources));
    }
}
