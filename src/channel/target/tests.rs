use super::*;
use crate::channel::resolve::{Name, Question};

fn fixed(addresses: &[&str]) -> Source {
    let addresses = addresses.iter().map(|text| match text.parse() {
        Ok(address) => Address::Tcp(address),
        Err(_) => match text.strip_prefix("unix-abstract:") {
            Some(name) => Address::Abstract(name.into()),
            None => Address::Unix(text.into()),
        },
    });
    Source::Fixed(addresses.collect())
}

fn dns(host: &str, port: u16) -> Source {
    Source::dns(host.into(), port)
}

fn asked_of(server: &str, host: &str, port: u16) -> Source {
    Source::Dns(Name {
        host: host.into(),
        port,
        server: Some(server.parse().unwrap()),
    })
}

fn are_read(rows: impl IntoIterator<Item = (&'static str, Source, &'static str)>) {
    for (text, source, authority) in rows {
        let target = parse(text, false).unwrap();
        assert_eq!(target.source, source, "{text}");
        assert_eq!(target.authority, authority, "{text}");
        assert_eq!(target.is_tls, text.starts_with("https"), "{text}");
    }
}

fn consul(rest: &str) -> Source {
    Source::Consul(Question::parse(rest).unwrap())
}

// CONTRACT N1, N7
#[test]
fn services_of_consul_are_understood_and_are_the_authority() {
    are_read([
        ("consul:///orders", consul("///orders"), "orders"),
        (
            "Consul://[::1]:8500/orders?tag=blue",
            consul("//[::1]:8500/orders?tag=blue"),
            "orders",
        ),
    ]);
    let parsed = parse("multi:///a:1,consul:///orders?tag=b,b:1", false).unwrap();
    let parts = [dns("a", 1), consul("///orders?tag=b"), dns("b", 1)];
    assert_eq!(parsed.source, Source::Multi(parts.into()));
    assert!(parsed.source.asks_consul() && !dns("a", 1).asks_consul());
}

// CONTRACT N1
#[test]
fn names_are_understood() {
    are_read([
        (
            "orders.prod:50051",
            dns("orders.prod", 50051),
            "orders.prod:50051",
        ),
        (
            "localhost:50051",
            dns("localhost", 50051),
            "localhost:50051",
        ),
        (
            "10.0.0.1:50051",
            fixed(&["10.0.0.1:50051"]),
            "10.0.0.1:50051",
        ),
        ("[::1]:50051", fixed(&["[::1]:50051"]), "[::1]:50051"),
        (
            "dns:///orders.prod:50051",
            dns("orders.prod", 50051),
            "orders.prod:50051",
        ),
        (
            "dns:orders.prod:50051",
            dns("orders.prod", 50051),
            "orders.prod:50051",
        ),
        ("dns:///orders.prod", dns("orders.prod", 80), "orders.prod"),
        (
            "DNS:///_Orders.prod.",
            dns("_Orders.prod.", 80),
            "_Orders.prod",
        ),
        ("dns:///10.0.0.1", fixed(&["10.0.0.1:80"]), "10.0.0.1"),
        ("dns:///[::1]:5", fixed(&["[::1]:5"]), "[::1]:5"),
        ("dns:///::1", fixed(&["[::1]:80"]), "[::1]"),
        (
            "dns://10.0.0.53/orders.prod:50051",
            asked_of("10.0.0.53:53", "orders.prod", 50051),
            "orders.prod:50051",
        ),
        (
            "dns://[::1]:5353/orders.",
            asked_of("[::1]:5353", "orders.", 80),
            "orders",
        ),
    ]);
}

// CONTRACT N1, N4
#[test]
fn lists_urls_sockets_and_several_targets_are_understood() {
    are_read([
        ("ipv4:10.0.0.1", fixed(&["10.0.0.1:80"]), "10.0.0.1"),
        (
            "ipv4:10.0.0.1:50051, 10.0.0.2:50051,10.0.0.1:50051",
            fixed(&["10.0.0.1:50051", "10.0.0.2:50051"]),
            "10.0.0.1:50051",
        ),
        (
            "ipv6:[::1]:50051,::2,[::3]",
            fixed(&["[::1]:50051", "[::2]:80", "[::3]:80"]),
            "[::1]:50051",
        ),
        ("ipv6:::2", fixed(&["[::2]:80"]), "[::2]"),
        (
            "http://10.0.0.1:50051",
            fixed(&["10.0.0.1:50051"]),
            "10.0.0.1:50051",
        ),
        (
            "http://[::1]:50051/",
            fixed(&["[::1]:50051"]),
            "[::1]:50051",
        ),
        ("http://orders.prod", dns("orders.prod", 80), "orders.prod"),
        (
            "https://orders.prod",
            dns("orders.prod", 443),
            "orders.prod",
        ),
        (
            "https://10.0.0.1:8443/",
            fixed(&["10.0.0.1:8443"]),
            "10.0.0.1:8443",
        ),
        ("unix:/run/o.sock", fixed(&["/run/o.sock"]), "localhost"),
        ("unix:///run/o.sock", fixed(&["/run/o.sock"]), "localhost"),
        ("unix:o.sock", fixed(&["o.sock"]), "localhost"),
        (
            "unix-abstract:orders",
            fixed(&["unix-abstract:orders"]),
            "localhost",
        ),
        (
            "multi:///dns:///a:1,unix:/run/b.sock, c:3",
            Source::Multi(vec![dns("a", 1), fixed(&["/run/b.sock"]), dns("c", 3)]),
            "a:1",
        ),
        (
            "multi:///ipv4:10.0.0.1,10.0.0.2:5,[::1]:6,ipv6:::2,::3,d:4",
            Source::Multi(vec![
                fixed(&["10.0.0.1:80", "10.0.0.2:5"]),
                fixed(&["[::1]:6"]),
                fixed(&["[::2]:80", "[::3]:80"]),
                dns("d", 4),
            ]),
            "10.0.0.1",
        ),
    ]);
}

// CONTRACT N1
#[test]
fn the_default_port_is_443_with_tls() {
    for (text, source) in [
        ("dns:///orders.prod", dns("orders.prod", 443)),
        ("ipv4:10.0.0.1", fixed(&["10.0.0.1:443"])),
        ("ipv6:::1", fixed(&["[::1]:443"])),
        ("https://orders.prod", dns("orders.prod", 443)),
        (
            "multi:///dns:///a,https://b",
            Source::Multi(vec![dns("a", 443), dns("b", 443)]),
        ),
    ] {
        let target = parse(text, true).unwrap();
        assert_eq!(target.source, source, "{text}");
        assert!(target.is_tls, "{text}");
    }
    // The scheme says otherwise.
    let target = parse("http://orders.prod", true).unwrap();
    assert_eq!(
        (target.source, target.is_tls),
        (dns("orders.prod", 80), false)
    );
}

// CONTRACT N1
#[test]
fn anything_else_is_a_fault_that_says_what_to_write() {
    for (text, advice) in [
        ("", "is no target: write `host:port`"),
        ("orders", "is no target: write `host:port`"),
        ("10.0.0.1", "is no target"),
        ("orders:", "does not end in a port"),
        ("orders:+80", "does not end in a port"),
        ("orders:0", "does not end in a port"),
        ("orders:65536", "does not end in a port"),
        ("orders:http", "does not end in a port"),
        ("::1", "has no port"),
        ("[::1]", "has no port"),
        ("::1:50051:x", "is no name of a host"),
        ("[::1]50051", "does not end in a port"),
        ("[::1", "is no IPv6 address in brackets"),
        ("[orders]:50051", "is no IPv6 address in brackets"),
        (":50051", "is no name of a host"),
        ("a..b:50051", "is no name of a host"),
        ("größe:50051", "`xn--` form"),
        ("a b:50051", "is no name of a host"),
        ("10.0.0:50051", "neither a name nor an IPv4 address"),
        ("256.0.0.1:50051", "neither a name nor an IPv4 address"),
        ("xds:///orders:50051", "has an unknown scheme: write"),
        ("consul:orders", "write `consul://agent:8500/service`"),
        ("consul:///a%20b", "can be no authority"),
        ("dns:", "is no name of a host"),
        ("dns://", "names a DNS server and no host"),
        ("dns:///", "is no name of a host"),
        ("dns://10.0.0.53:53", "names a DNS server and no host"),
        (
            "dns://ns.prod/orders:50051",
            "the DNS server `ns.prod` is no IP address",
        ),
        ("dns:///orders/path", "is no name of a host"),
        ("dns:////orders", "is no name of a host"),
        ("ipv4:", "is no name of a host"),
        ("ipv4:::1", "is no address of this kind"),
        ("ipv4:orders:5", "is no address of this kind"),
        ("ipv4:10.0.0.1:port", "does not end in a port"),
        ("ipv4:10.0.0.1,", "is no name of a host"),
        ("ipv6:10.0.0.1:50051", "is no address of this kind"),
        ("ipv6:[::1", "is no IPv6 address in brackets"),
        ("unix:", "`unix:` needs a path"),
        ("unix:a\0b", "`unix:` needs a path"),
        ("unix://o.sock", "`unix:///run/x.sock`"),
        ("unix-abstract:", "needs a name"),
        ("http:orders:80", "write `http://host:port`"),
        ("http://", "is no name of a host"),
        ("http://10.0.0.1/path", "no more than scheme, host and port"),
        (
            "http://10.0.0.1?query",
            "no more than scheme, host and port",
        ),
        ("http://10.0.0.1#part", "no more than scheme, host and port"),
        ("http://user@10.0.0.1", "no more than scheme, host and port"),
        ("multi:a:1,b:2", "write `multi:///target,target`"),
        ("multi:///", "is no target"),
        ("multi:///a:1,", "is no target"),
        ("multi:///a:1,multi:///b:2", "`multi` within `multi`"),
        (
            "multi:///a:1,https://b:2",
            "is with TLS, and the channel has no TLS settings",
        ),
        ("multi:///a:1,consul://b", "in `multi`: write `consul://"),
    ] {
        let fault = parse(text, false).expect_err(text);
        assert!(fault.contains(advice), "{text}: {fault}");
    }
    let fault = parse("multi:///a:1,http://b", true).unwrap_err();
    assert!(
        fault.contains("is without TLS, and the channel has TLS settings"),
        "{fault}"
    );
    let long = format!("{}:1", ["a"; 128].join("."));
    assert!(parse(&long, false).is_err());
    assert!(parse(&format!("{}:1", "a".repeat(64)), false).is_err());
    assert!(parse(&format!("{}:1", "a".repeat(63)), false).is_ok());
    // 253 bytes are the most, without the dot at the end.
    let longest = ["a"; 127].join(".");
    assert!(parse(&format!("{longest}:1"), false).is_ok());
    assert!(parse(&format!("{longest}.:1"), false).is_ok());
    assert!(parse(&format!("{longest}a:1"), false).is_err());
}

#[path = "certificate_names.rs"]
mod certificate_names;
#[path = "laws.rs"]
mod laws;
