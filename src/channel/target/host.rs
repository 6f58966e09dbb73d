use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// `host` or `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Ip(IpAddr),
    /// A name of DNS. A dot at its end keeps the system's search list away.
    Name(Arc<str>),
}

/// The most bytes in a name, and in a label of it (RFC 1035).
const NAME: usize = 253;
const LABEL: usize = 63;

impl HostPort {
    /// Reads `name`, `10.0.0.1` or `[::1]`, each with or without a port, or `::1`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(inside) = text.strip_prefix('[') {
            let ip_and_rest = inside.split_once(']');
            let ip = ip_and_rest.and_then(|(ip, _)| ip.parse::<Ipv6Addr>().ok());
            let (Some(ip), Some((_, rest))) = (ip, ip_and_rest) else {
                return Err(format!("`{text}` is no IPv6 address in brackets"));
            };
            return Ok(Self {
                host: Host::Ip(ip.into()),
                port: port_after(text, rest)?,
            });
        }
        if let Ok(ip) = text.parse::<Ipv6Addr>() {
            let host = Host::Ip(ip.into());
            return Ok(Self { host, port: None });
        }
        let colon = text.find(':').unwrap_or(text.len());
        let (host, rest) = text.split_at(colon);
        Ok(Self {
            host: Host::parse(host)?,
            port: port_after(text, rest)?,
        })
    }
}

/// What follows a host: nothing, or a colon and a port.
fn port_after(text: &str, rest: &str) -> Result<Option<u16>, String> {
    if rest.is_empty() {
        return Ok(None);
    }
    // `parse` alone takes a sign, too.
    let digits = rest
        .strip_prefix(':')
        .filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
    let port = digits.and_then(|it| it.parse::<u16>().ok());
    match port {
        Some(port) if port > 0 => Ok(Some(port)),
        _ => Err(format!(
            "`{text}` does not end in a port from 1 to 65535 (an IPv6 address with a port is in \
             brackets: `[::1]:50051`)"
        )),
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        let relative = text.strip_suffix('.').unwrap_or(text);
        let mut labels = relative.split('.');
        let is_name = relative.len() <= NAME && labels.clone().all(is_label);
        if !is_name {
            return Err(format!(
                "`{text}` is no name of a host (a name with other letters than ASCII's is written \
                 in its `xn--` form)"
            ));
        }
        // The system's resolver takes `10.1` for an address.
        let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
        if labels.next_back().is_some_and(is_number) {
            return Err(format!("`{text}` is neither a name nor an IPv4 address"));
        }
        Ok(Self::Name(text.into()))
    }
}

fn is_label(label: &str) -> bool {
    // An underscore is in the names of services, if not of hosts.
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LABEL).contains(&label.len()) && label.bytes().all(is_part)
}

/// As an authority has it: without the dot at the end, which no certificate has.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Name(name) => f.write_str(name.strip_suffix('.').unwrap_or(name)),
        }
    }
}
