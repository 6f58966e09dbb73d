//! What a target says, in text (CONTRACT N1).

mod address_list;
mod consul;
mod host;
mod shown;
mod source;

use std::net::SocketAddr;
use std::path::PathBuf;

use http::uri::Authority;

use super::address::Address;
use host::{Host, HostPort};
pub(super) use shown::shown;
pub(super) use source::Source;

/// What a target says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Where its addresses come from.
    pub(super) source: Source,
    /// The `:authority` of requests, unless another origin is set.
    pub(super) authority: Authority,
    /// Whether its connections use TLS: as its scheme says, or as the channel does.
    pub(super) is_tls: bool,
}

const TARGETS: &str = "write `host:port`, `dns:///host:port`, `ipv4:address:port`, \
    `ipv6:[address]:port`, `unix:path`, `unix-abstract:name`, `http://host:port`, \
    `https://host:port`, `consul://agent:port/service` or `multi:///target,target`";
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
const DNS_PORT: u16 = 53;

/// Reads a target; an error in words. `is_tls`: the channel uses TLS.
pub(super) fn parse(text: &str, is_tls: bool) -> Result<Target, String> {
    let port = if is_tls { HTTPS_PORT } else { HTTP_PORT };
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(format!("`{text}` is no target: {TARGETS}"));
    };
    let (source, authority) = match &*scheme.to_ascii_lowercase() {
        "http" | "https" => {
            let is_tls = scheme.len() == "https".len();
            let port = if is_tls { HTTPS_PORT } else { HTTP_PORT };
            let (source, authority) = url(text, rest, port)?;
            return Ok(Target {
                source,
                authority,
                is_tls,
            });
        }
        "dns" => dns(text, rest, port)?,
        "ipv4" => address_list::ipv4(rest, port)?,
        "ipv6" => address_list::ipv6(rest, port)?,
        "unix" => unix(rest)?,
        "unix-abstract" => abstract_socket(rest)?,
        "multi" => multi(rest, is_tls)?,
        "consul" => consul::consul(rest)?,
        _ => host_port(text)?,
    };
    Ok(Target {
        source,
        authority,
        is_tls,
    })
}

type Parsed = (Source, Authority);

/// `host:port`. The port is needed: without it, this is more likely a slip than port 80.
fn host_port(text: &str) -> Result<Parsed, String> {
    if text.contains("://") {
        return Err(format!("`{text}` has an unknown scheme: {TARGETS}"));
    }
    let HostPort { host, port } = HostPort::parse(text)?;
    if port.is_none() {
        return Err(format!("`{text}` has no port: {TARGETS}"));
    }
    named(host, port, HTTP_PORT)
}

/// The source of a host that may be an address.
fn named(host: Host, port: Option<u16>, default: u16) -> Result<Parsed, String> {
    let authority = authority(&host, port)?;
    let port = port.unwrap_or(default);
    let source = match host {
        Host::Ip(ip) => Source::Fixed(vec![Address::Tcp(SocketAddr::new(ip, port))]),
        Host::Name(name) => Source::dns(name, port),
    };
    Ok((source, authority))
}

fn authority(host: &Host, port: Option<u16>) -> Result<Authority, String> {
    let text = match port {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    };
    text.parse()
        .map_err(|error| format!("`{text}` is no authority: {error}"))
}

/// What follows `http:` or `https:`.
fn url(text: &str, rest: &str, default: u16) -> Result<Parsed, String> {
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(format!(
            "`{text}` is no URL: write `http://host:port`, or `dns:///http:port` for a host of \
             this name"
        ));
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if let Some(part) = rest.chars().find(|it| "/?#@".contains(*it)) {
        return Err(format!(
            "`{text}` has `{part}`, and a channel uses no more than scheme, host and port"
        ));
    }
    let HostPort { host, port } = HostPort::parse(rest)?;
    named(host, port, default)
}

/// What follows `dns:`, as in gRPC: `host`, `///host` or `//server/host`.
fn dns(text: &str, rest: &str, default: u16) -> Result<Parsed, String> {
    let (server, rest) = match rest.strip_prefix("//") {
        None => ("", rest),
        Some(rest) => rest.split_once('/').ok_or_else(|| {
            format!(
                "`{text}` names a DNS server and no host: write `dns:///host:port` for the \
                 system's, or `dns://server/host:port`"
            )
        })?,
    };
    let HostPort { host, port } = HostPort::parse(rest)?;
    let (source, authority) = named(host, port, default)?;
    if server.is_empty() {
        return Ok((source, authority));
    }
    let server = HostPort::parse(server)?;
    let Host::Ip(ip) = server.host else {
        return Err(format!(
            "`{text}`: the DNS server `{}` is no IP address",
            server.host
        ));
    };
    let server = SocketAddr::new(ip, server.port.unwrap_or(DNS_PORT));
    #[cfg(not(feature = "dns"))]
    if matches!(source, Source::Dns(_)) {
        return Err(format!(
            "`{text}`: to ask the DNS server {server} needs the feature `dns` of grpc-resilience; \
             without it, `dns:///{rest}` asks the system's resolver"
        ));
    }
    #[cfg(feature = "dns")]
    let source = source.asked_of(server);
    Ok((source, authority))
}

/// What follows `unix:`: `path`, or `///absolute/path`, as gRPC has them.
fn unix(rest: &str) -> Result<Parsed, String> {
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => return Err("`unix://` needs an absolute path: `unix:///run/x.sock`".into()),
        None => rest,
    };
    if path.is_empty() || path.contains('\0') {
        return Err("`unix:` needs a path".into());
    }
    Ok(local(Address::Unix(PathBuf::from(path))))
}

fn abstract_socket(name: &str) -> Result<Parsed, String> {
    if name.is_empty() {
        return Err("`unix-abstract:` needs a name".into());
    }
    if !cfg!(target_os = "linux") {
        return Err("`unix-abstract:` is for Linux only".into());
    }
    Ok(local(Address::Abstract(name.into())))
}

fn local(address: Address) -> Parsed {
    let authority = Authority::from_static("localhost");
    (Source::Fixed(vec![address]), authority)
}

/// What follows `multi:`: `///target,target`. The authority is the first target's.
fn multi(rest: &str, is_tls: bool) -> Result<Parsed, String> {
    let list = rest
        .strip_prefix("///")
        .ok_or("write `multi:///target,target`")?;
    let mut parts = Vec::new();
    let mut authority = None;
    for part in address_list::split(list) {
        let part = part.trim();
        if part.to_ascii_lowercase().starts_with("multi:") {
            return Err("`multi` within `multi`: write all targets in one list".into());
        }
        let target = parse(part, is_tls).map_err(|text| format!("in `multi`: {text}"))?;
        if target.is_tls != is_tls {
            return Err(format!(
                "in `multi`: `{part}` {} TLS, and the channel {}",
                if target.is_tls {
                    "is with"
                } else {
                    "is without"
                },
                if is_tls {
                    "has TLS settings"
                } else {
                    "has no TLS settings"
                },
            ));
        }
        authority.get_or_insert(target.authority);
        parts.push(target.source);
    }
    let authority = authority.ok_or("`multi:///` needs a target")?;
    Ok((Source::Multi(parts), authority))
}

#[cfg(test)]
mod tests;
