use std::net::SocketAddr;

use super::host::{Host, HostPort};
use super::source::Source;
use super::{Parsed, authority};
use crate::channel::address::Address;

/// What follows `ipv4:`: `10.0.0.1:50051,10.0.0.2`.
pub(super) fn ipv4(list: &str, port: u16) -> Result<Parsed, String> {
    addresses(list, port, SocketAddr::is_ipv4)
}

/// What follows `ipv6:`: `[::1]:50051,[::2],::3`.
pub(super) fn ipv6(list: &str, port: u16) -> Result<Parsed, String> {
    addresses(list, port, SocketAddr::is_ipv6)
}

/// Each address once (CONTRACT N4); the authority is the first one, as it is written.
fn addresses(
    list: &str,
    default: u16,
    is_kind: impl Fn(&SocketAddr) -> bool,
) -> Result<Parsed, String> {
    let mut addresses = Vec::new();
    let mut first = None;
    for part in list.split(',') {
        let text = part.trim();
        let read = HostPort::parse(text).map(|HostPort { host, port }| match host {
            Host::Ip(ip) => Some((SocketAddr::new(ip, port.unwrap_or(default)), host, port)),
            Host::Name(_) => None,
        });
        let (address, host, port) = read?
            .filter(|(address, ..)| is_kind(address))
            .ok_or_else(|| format!("`{text}` is no address of this kind"))?;
        if first.is_none() {
            first = Some(authority(&host, port)?);
        }
        let address = Address::Tcp(address);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let authority = first.ok_or("an address is missing")?;
    Ok((Source::Fixed(addresses), authority))
}

/// The targets in a list of them. In `ipv4:10.0.0.1,10.0.0.2,unix:/a` the second address is of the
/// first target.
pub(super) fn split(list: &str) -> Vec<String> {
    let mut targets: Vec<String> = Vec::new();
    for part in list.split(',') {
        match targets.last_mut() {
            Some(target) if goes_on(target, part.trim()) => {
                target.push(',');
                target.push_str(part);
            }
            _ => targets.push(part.into()),
        }
    }
    targets
}

/// Whether a target is a list of addresses that may have this one.
fn goes_on(target: &str, part: &str) -> bool {
    let Ok(HostPort {
        host: Host::Ip(ip), ..
    }) = HostPort::parse(part)
    else {
        return false;
    };
    let scheme = target.split(':').next().unwrap_or_default().trim();
    scheme.eq_ignore_ascii_case(if ip.is_ipv4() { "ipv4" } else { "ipv6" })
}
