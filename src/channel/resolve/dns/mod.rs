//! Names of DNS with their TTL, by hickory.

mod answer;
mod search;

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Resolver as Hickory, TokioResolver};

use super::repeat::{Asked, Found, Lookup};
use super::{ResolveError, ResolvedAddress};
use answer::{Answer, Answers, Memory};

/// A name that is looked up by DNS, its A and AAAA records together.
pub(super) struct Dns {
    host: Arc<str>,
    /// Default: the servers of the system's configuration.
    server: Option<SocketAddr>,
    port: u16,
    server_name: Option<Arc<str>>,
    memory: Memory,
}

impl Dns {
    pub(super) fn new(
        host: Arc<str>,
        server: Option<SocketAddr>,
        port: u16,
        server_name: Option<Arc<str>>,
    ) -> Self {
        Self {
            host,
            server,
            port,
            server_name,
            memory: Memory::default(),
        }
    }
}

impl Lookup for Dns {
    type Answer = Answers;

    fn name(&self) -> &str {
        &self.host
    }

    fn ask(&self) -> Asked<Answers> {
        Box::pin(ask(Arc::clone(&self.host), self.server))
    }

    fn read(&mut self, answers: Answers) -> Result<Found, ResolveError> {
        let (ips, ttl) = self.memory.read(&self.host, answers)?;
        let addresses = ips.into_iter().map(|ip| ResolvedAddress {
            server_name: self.server_name.clone(),
            ..SocketAddr::new(ip, self.port).into()
        });
        Ok(Found {
            addresses: addresses.collect(),
            ttl,
        })
    }
}

async fn ask(host: Arc<str>, server: Option<SocketAddr>) -> Answers {
    // Made anew for each question, so that a changed `resolv.conf` is seen, no answer comes from a
    // cache, and nothing is open between two questions: no connection, no task, no timer.
    match hickory(&host, server) {
        Ok((resolver, names)) => ask_each(&resolver, names).await,
        Err(error) => Answers::both(answer::failed(&error)),
    }
}

/// Asks for the names of a search list, until one has an address.
async fn ask_each(resolver: &TokioResolver, names: Vec<Name>) -> Answers {
    let mut failed = None;
    let mut last = None;
    for name in names {
        let answers = ask_both(resolver, &name).await;
        if answers.has_address() || answers.is_unheard() {
            return answers;
        }
        if answers.has_failed() {
            failed = Some(answers);
        } else {
            last = Some(answers);
        }
    }
    // That the last name does not exist says nothing of one before it that failed.
    let none = || Answers::both(Answer::NoName);
    failed.or(last).unwrap_or_else(none)
}

fn hickory(host: &str, server: Option<SocketAddr>) -> Result<(TokioResolver, Vec<Name>), NetError> {
    let host = Name::from_ascii(host).map_err(NetError::from)?;
    let (config, options, names) = if let Some(server) = server {
        let mut options = ResolverOpts::default();
        options.use_hosts_file = ResolveHosts::Never;
        let config = ResolverConfig::from_name_servers(vec![name_server(server)]);
        (config, options, vec![search::absolute(host)])
    } else {
        let (config, options) = read_system_conf()?;
        let names = search::names(host, &config, options.ndots);
        (config, options, names)
    };
    let builder = Hickory::builder_with_config(config, TokioRuntimeProvider::default());
    let resolver = builder.with_options(options).build()?;
    Ok((resolver, names))
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    let connections = connections.into_iter().map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.collect())
}

async fn ask_both(resolver: &TokioResolver, name: &Name) -> Answers {
    let mut v6 = pin!(ask_one(resolver, name, RecordType::AAAA));
    let mut v4 = pin!(ask_one(resolver, name, RecordType::A));
    let (mut of_v6, mut of_v4) = (None, None);
    poll_fn(|cx| {
        if of_v6.is_none()
            && let Poll::Ready(answer) = v6.as_mut().poll(cx)
        {
            of_v6 = Some(answer);
        }
        if of_v4.is_none()
            && let Poll::Ready(answer) = v4.as_mut().poll(cx)
        {
            of_v4 = Some(answer);
        }
        match (of_v6.take(), of_v4.take()) {
            (Some(v6), Some(v4)) => Poll::Ready(Answers { v6, v4 }),
            (v6, v4) => {
                (of_v6, of_v4) = (v6, v4);
                Poll::Pending
            }
        }
    })
    .await
}

async fn ask_one(resolver: &TokioResolver, name: &Name, kind: RecordType) -> Answer {
    match resolver.lookup(name.clone(), kind).await {
        Ok(lookup) => {
            let records = lookup.answers();
            let ips: Vec<IpAddr> = records.iter().filter_map(|it| it.data.ip_addr()).collect();
            // With the aliases on the way to the addresses.
            let ttl = records.iter().map(|record| record.ttl).min();
            answer::found(ips, ttl.unwrap_or_default())
        }
        Err(error) => answer::failed(&error),
    }
}

#[cfg(test)]
mod tests;
