use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use http::Uri;
use http::uri::Authority;

use super::address::Address;

/// What a target says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Each once, in their order (rule N4).
    pub(super) addresses: Vec<Address>,
    /// The `:authority` of requests, unless another origin is set.
    pub(super) authority: Authority,
}

/// The scheme of a target, or nothing.
pub(super) fn scheme(target: &str) -> &str {
    target.split_once(':').map_or("", |(scheme, _)| scheme)
}

/// Reads a target whose addresses have this port unless they say another; an error in words.
pub(super) fn parse(target: &str, port: u16) -> Result<Target, String> {
    let (scheme, rest) = target.split_once(':').ok_or_else(|| unknown(target))?;
    match scheme {
        "ipv4" => sockets(rest, port, |host| {
            host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
        }),
        "ipv6" => sockets(rest, port, |host| {
            host.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }),
        "unix" => unix(rest),
        "unix-abstract" => abstract_socket(rest),
        "http" | "https" => url(target, port),
        _ => Err(unknown(target)),
    }
}

fn unknown(target: &str) -> String {
    format!(
        "`{target}` is no target: write `ipv4:address:port`, `ipv6:[address]:port`, `unix:path`, \
         `unix-abstract:name`, `http://address:port` or `https://address:port`"
    )
}

fn sockets(list: &str, port: u16, ip: impl Fn(&str) -> Option<IpAddr>) -> Result<Target, String> {
    let mut addresses = Vec::new();
    for text in list.split(',') {
        let text = text.trim();
        let address = socket(text, port, &ip)
            .ok_or_else(|| format!("`{text}` is no address of this kind"))?;
        addresses.push(Address::Tcp(address));
    }
    let authority = authority_of(list.split(',').next().unwrap_or_default().trim())?;
    Ok(target(addresses, authority))
}

/// `10.0.0.1`, `10.0.0.1:50051`, `::1`, `[::1]` or `[::1]:50051`.
fn socket(text: &str, port: u16, ip: impl Fn(&str) -> Option<IpAddr>) -> Option<SocketAddr> {
    let bare = |text: &str| Some(SocketAddr::new(ip(text)?, port));
    if let Some(inside) = text.strip_prefix('[') {
        let (host, rest) = inside.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some(SocketAddr::new(ip(host)?, port.parse().ok()?)),
            None => bare(host).filter(|_| rest.is_empty()),
        };
    }
    bare(text).or_else(|| {
        let (host, port) = text.rsplit_once(':')?;
        let ip = ip(host).filter(IpAddr::is_ipv4)?;
        Some(SocketAddr::new(ip, port.parse().ok()?))
    })
}

fn unix(rest: &str) -> Result<Target, String> {
    // `unix:path` and `unix:///absolute/path`, as gRPC has them.
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => return Err("`unix://` needs an absolute path: `unix:///run/x.sock`".into()),
        None => rest,
    };
    if path.is_empty() {
        return Err("`unix:` needs a path".into());
    }
    let address = Address::Unix(PathBuf::from(path));
    Ok(target(vec![address], Authority::from_static("localhost")))
}

fn abstract_socket(name: &str) -> Result<Target, String> {
    if name.is_empty() {
        return Err("`unix-abstract:` needs a name".into());
    }
    if !cfg!(target_os = "linux") {
        return Err("`unix-abstract:` is for Linux only".into());
    }
    let address = Address::Abstract(name.into());
    Ok(target(vec![address], Authority::from_static("localhost")))
}

fn url(text: &str, port: u16) -> Result<Target, String> {
    let uri: Uri = text.parse().map_err(|error| format!("`{text}`: {error}"))?;
    let host = uri.host().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse();
    let ip: IpAddr = ip.map_err(|_| {
        format!("`{host}` is no IP address, and names are not resolved by this channel yet")
    })?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(format!("`{text}` has a path, which a channel does not use"));
    }
    let address = SocketAddr::new(ip, uri.port_u16().unwrap_or(port));
    let authority = uri
        .authority()
        .ok_or_else(|| format!("`{text}` has no host"))?;
    Ok(target(vec![Address::Tcp(address)], authority.clone()))
}

fn authority_of(text: &str) -> Result<Authority, String> {
    let is_bare_v6 = text.parse::<Ipv6Addr>().is_ok();
    let text = if is_bare_v6 {
        format!("[{text}]")
    } else {
        text.to_owned()
    };
    text.parse().map_err(|error| format!("`{text}`: {error}"))
}

fn target(addresses: Vec<Address>, authority: Authority) -> Target {
    let mut once: Vec<Address> = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !once.contains(&address) {
            once.push(address);
        }
    }
    Target {
        addresses: once,
        authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<String> {
        let target = parse(text, 80).unwrap();
        target.addresses.iter().map(ToString::to_string).collect()
    }

    // CONTRACT N1, N4
    #[test]
    fn each_kind_of_target_is_understood() {
        for (text, expected, authority) in [
            ("ipv4:10.0.0.1", &["10.0.0.1:80"][..], "10.0.0.1"),
            (
                "ipv4:10.0.0.1:50051, 10.0.0.2:50051,10.0.0.1:50051",
                &["10.0.0.1:50051", "10.0.0.2:50051"],
                "10.0.0.1:50051",
            ),
            (
                "ipv6:[::1]:50051,::2,[::3]",
                &["[::1]:50051", "[::2]:80", "[::3]:80"],
                "[::1]:50051",
            ),
            ("ipv6:::2", &["[::2]:80"], "[::2]"),
            (
                "http://10.0.0.1:50051",
                &["10.0.0.1:50051"],
                "10.0.0.1:50051",
            ),
            (
                "https://10.0.0.1:50051",
                &["10.0.0.1:50051"],
                "10.0.0.1:50051",
            ),
            ("http://[::1]:50051/", &["[::1]:50051"], "[::1]:50051"),
            ("unix:/run/o.sock", &["unix:/run/o.sock"], "localhost"),
            ("unix:///run/o.sock", &["unix:/run/o.sock"], "localhost"),
            ("unix:o.sock", &["unix:o.sock"], "localhost"),
            (
                "unix-abstract:orders",
                &["unix-abstract:orders"],
                "localhost",
            ),
        ] {
            assert_eq!(addresses(text), expected, "{text}");
            assert_eq!(parse(text, 80).unwrap().authority, authority, "{text}");
        }
    }

    // CONTRACT N1
    #[test]
    fn an_address_without_a_port_has_the_given_one() {
        for text in ["https://10.0.0.1", "ipv4:10.0.0.1", "ipv4:10.0.0.1:443"] {
            let target = parse(text, 443).unwrap();
            assert_eq!(target.addresses[0].to_string(), "10.0.0.1:443", "{text}");
        }
        let target = parse("https://[::1]", 443).unwrap();
        assert_eq!(target.addresses[0].to_string(), "[::1]:443");
    }

    // CONTRACT N1
    #[test]
    fn anything_else_is_a_fault() {
        for text in [
            "",
            "orders",
            "orders:50051",
            "10.0.0.1:50051",
            "ipv4:",
            "ipv4:::1",
            "ipv4:10.0.0.1:port",
            "ipv4:10.0.0.1,",
            "ipv6:10.0.0.1:50051",
            "ipv6:[::1",
            "ipv6:[::1]50051",
            "unix:",
            "unix://o.sock",
            "unix-abstract:",
            "http://orders:50051",
            "http://10.0.0.1/path",
            "https://orders:50051",
            "dns:///orders",
        ] {
            assert!(parse(text, 80).is_err(), "{text}");
        }
    }
}
