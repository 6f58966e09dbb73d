use std::collections::BTreeSet;
#[cfg(feature = "dns")]
use std::net::SocketAddr;
use std::sync::Arc;

use crate::channel::address::Address;
#[cfg(feature = "consul")]
use crate::channel::resolve::Question;
use crate::channel::resolve::{
    Fixed, Multi, Name, Resolution, ResolveSettings, ResolvedAddress, Resolver,
};

/// Where the addresses of a target come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::channel) enum Source {
    /// Each once, in their order.
    Fixed(Vec<Address>),
    Dns(Name),
    #[cfg(feature = "consul")]
    Consul(Question),
    Multi(Vec<Source>),
}

impl Source {
    pub(super) fn dns(host: Arc<str>, port: u16) -> Self {
        Self::Dns(Name {
            host,
            port,
            #[cfg(feature = "dns")]
            server: None,
        })
    }

    /// The same name, looked up by this DNS server. An address needs none.
    #[cfg(feature = "dns")]
    pub(super) fn asked_of(self, server: SocketAddr) -> Self {
        match self {
            Self::Dns(name) => Self::Dns(Name {
                server: Some(server),
                ..name
            }),
            other => other,
        }
    }

    /// What resolves this target.
    pub(in crate::channel) fn resolver(&self, settings: &ResolveSettings) -> Box<dyn Resolver> {
        let mut hosts = BTreeSet::new();
        self.hosts(&mut hosts);
        self.make(settings, settings.names_servers && hosts.len() > 1)
    }

    /// Whether a part of it asks Consul.
    #[cfg(feature = "consul")]
    pub(in crate::channel) fn asks_consul(&self) -> bool {
        match self {
            Self::Consul(_) => true,
            Self::Multi(parts) => parts.iter().any(Self::asks_consul),
            Self::Fixed(_) | Self::Dns(_) => false,
        }
    }

    fn make(&self, settings: &ResolveSettings, names_servers: bool) -> Box<dyn Resolver> {
        match self {
            Self::Fixed(addresses) => {
                let addresses = addresses.iter().map(|address| ResolvedAddress {
                    server_name: names_servers.then(|| host(address).into()),
                    ..address.clone().into()
                });
                Box::new(Fixed::new(Resolution::new(addresses)))
            }
            Self::Dns(name) => {
                let server_name = names_servers.then(|| certified(&name.host).into());
                name.resolver(server_name, settings)
            }
            #[cfg(feature = "consul")]
            Self::Consul(question) => {
                let server_name = names_servers.then(|| Arc::clone(&question.service));
                question.resolver(server_name, settings)
            }
            Self::Multi(parts) => {
                let parts = parts.iter().map(|part| part.make(settings, names_servers));
                Box::new(parts.fold(Multi::new(), Multi::with))
            }
        }
    }

    fn hosts(&self, hosts: &mut BTreeSet<String>) {
        match self {
            Self::Fixed(addresses) => hosts.extend(addresses.iter().map(host)),
            Self::Dns(name) => {
                hosts.insert(certified(&name.host).into());
            }
            #[cfg(feature = "consul")]
            Self::Consul(question) => {
                hosts.insert((*question.service).into());
            }
            Self::Multi(parts) => parts.iter().for_each(|part| part.hosts(hosts)),
        }
    }
}

/// The host in a server's certificate.
fn host(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.ip().to_string(),
        Address::Unix(_) | Address::Abstract(_) => "localhost".into(),
    }
}

fn certified(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}
