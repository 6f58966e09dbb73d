//! Servers behind a name of a real DNS server.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::{Nature, Port, Server};
use testing::{DnsAnswer, DnsServer};

pub(crate) const SERVERS: u8 = 6;
/// How many of the six the name has at first.
pub(crate) const NAMED: usize = 3;
/// Absolute, so that no search list of this machine's comes into it.
const NAME: &str = "orders.test.";
/// Of the records, in seconds, but where it is more.
const TTL: u32 = 1;

/// The servers, of which the name has some.
pub(crate) struct Fleet {
    pub(crate) servers: Vec<Server>,
    dns: DnsServer,
}

impl Fleet {
    /// Six run; the name has the first three.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let fleet = Self::of(SERVERS).await?;
        fleet.name(0..NAMED)?;
        Ok(fleet)
    }

    /// Starts this number of servers; no name leads to them yet.
    pub(crate) async fn of(count: u8) -> Result<Self, Failure> {
        let mut servers = Vec::new();
        for (index, port) in (0..).zip(Port::reserve_same(count)?) {
            servers.push(Server::start(index, port, Nature::default()).await?);
        }
        let dns = DnsServer::start().await?;
        Ok(Self { servers, dns })
    }

    /// The name has these servers from now on.
    pub(crate) fn name(&self, servers: Range<usize>) -> Result<(), Failure> {
        self.name_for(TTL, servers)
    }

    /// The same with another TTL, in seconds.
    pub(crate) fn name_for(&self, ttl: u32, servers: Range<usize>) -> Result<(), Failure> {
        let addresses = self.addresses(servers)?;
        let ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
        self.dns.set(NAME, DnsAnswer::addresses(ttl, ips));
        Ok(())
    }

    /// Where these servers are.
    pub(crate) fn addresses(&self, servers: Range<usize>) -> Result<Vec<SocketAddr>, Failure> {
        let servers = self.servers.get(servers).ok_or("no such servers")?;
        servers.iter().map(Server::address).collect()
    }

    /// The DNS server, the name and the port.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        let first = self.servers.first().ok_or("no server")?;
        Ok(Target {
            dns: self.dns.address(),
            name: NAME,
            port: first.address()?.port(),
        })
    }
}

/// What a client connects to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) dns: SocketAddr,
    pub(crate) name: &'static str,
    pub(crate) port: u16,
}
