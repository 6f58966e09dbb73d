#[cfg(feature = "dns")]
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Resolver;
use super::repeat::Repeat;
use super::schedule::{MAX_TTL, MIN_TTL};
#[cfg(feature = "consul")]
use crate::consul::{InvalidToken, Token};
use crate::error::Faults;

/// A DNS server is not asked more often, whatever the TTL.
const LEAST_MIN_TTL: Duration = Duration::from_secs(1);

/// A name of DNS and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::channel) struct Name {
    pub(in crate::channel) host: Arc<str>,
    pub(in crate::channel) port: u16,
    /// The DNS server to ask. Default: those of the system's configuration.
    #[cfg(feature = "dns")]
    pub(in crate::channel) server: Option<SocketAddr>,
}

/// What a channel is built with, for its resolvers.
#[derive(Clone, Debug)]
pub(in crate::channel) struct ResolveSettings {
    /// The least time for which an answer of DNS counts as fresh.
    pub(in crate::channel) min_ttl: Duration,
    /// Whether the certificate of each server is to be valid for the host that the target has for
    /// it, if the target has several hosts; otherwise all are to be valid for the authority.
    pub(in crate::channel) names_servers: bool,
    #[cfg(feature = "consul")]
    pub(in crate::channel) consul_token: Option<Result<Token, InvalidToken>>,
}

impl Default for ResolveSettings {
    fn default() -> Self {
        Self {
            min_ttl: MIN_TTL,
            names_servers: true,
            #[cfg(feature = "consul")]
            consul_token: None,
        }
    }
}

impl ResolveSettings {
    pub(in crate::channel) fn check(&self, faults: &mut Faults) {
        let is_within = (LEAST_MIN_TTL..=MAX_TTL).contains(&self.min_ttl);
        faults.check("dns_min_ttl", is_within, || {
            format!(
                "{:?} is not within {LEAST_MIN_TTL:?} to {MAX_TTL:?}",
                self.min_ttl
            )
        });
    }
}

#[cfg(feature = "consul")]
impl ResolveSettings {
    /// `asks_consul`: the target is one of Consul's, or not known.
    pub(in crate::channel) fn check_consul(&self, asks_consul: bool, faults: &mut Faults) {
        if let Some(Err(invalid)) = &self.consul_token {
            faults.add("consul_token", invalid.to_string());
        }
        let is_used = self.consul_token.is_none() || asks_consul;
        faults.check("consul_token", is_used, || {
            "no `consul` target is there to use it".into()
        });
    }
}

impl Name {
    /// Looks the name up by DNS.
    #[cfg(feature = "dns")]
    pub(in crate::channel) fn resolver(
        &self,
        server_name: Option<Arc<str>>,
        settings: &ResolveSettings,
    ) -> Box<dyn Resolver> {
        let host = Arc::clone(&self.host);
        let dns = super::dns::Dns::new(host, self.server, self.port, server_name);
        Box::new(Repeat::new(dns, settings.min_ttl))
    }

    /// Looks the name up by the system's resolver.
    #[cfg(not(feature = "dns"))]
    pub(in crate::channel) fn resolver(
        &self,
        server_name: Option<Arc<str>>,
        settings: &ResolveSettings,
    ) -> Box<dyn Resolver> {
        let system = super::system::System {
            host: Arc::clone(&self.host),
            port: self.port,
            server_name,
        };
        Box::new(Repeat::new(system, settings.min_ttl))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT N6
    #[test]
    fn the_least_ttl_is_a_second_to_five_minutes() {
        for (millis, is_fine) in [
            (0, false),
            (999, false),
            (1_000, true),
            (300_000, true),
            (300_001, false),
        ] {
            let settings = ResolveSettings {
                min_ttl: Duration::from_millis(millis),
                ..ResolveSettings::default()
            };
            let mut faults = Faults::default();
            settings.check(&mut faults);
            assert_eq!(faults.is_empty(), is_fine, "{millis} ms");
        }
    }
}
