use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::address::AgentAddress;
use super::agent::Agent;
use super::check::{Check, Kind, LEAST};
use super::error::{InvalidRegistration, RegistrationError};
use super::keeper::Keeper;
use super::registered::Registered;
use super::service::Service;
use super::token::{InvalidToken, Token};
use crate::error::Faults;

/// A server that registers itself with its Consul agent, so that clients find it.
///
/// Setters never fail; [`register`](Self::register) reports all faults at once.
///
/// ```no_run
/// use grpc_resilience::consul::{Check, Registration};
/// use std::time::Duration;
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let registered = Registration::new("orders", "10.0.0.7:50051".parse()?)
///     .tag("blue")
///     .meta("version", "1.4.2")
///     .check(Check::ttl(Duration::from_secs(10)))
///     .agent("127.0.0.1:8500")
///     .token(std::env::var("CONSUL_HTTP_TOKEN")?)
///     .register()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a server is registered by `register`"]
pub struct Registration {
    service: String,
    address: SocketAddr,
    id: Option<String>,
    tags: Vec<String>,
    meta: BTreeMap<String, String>,
    check: Check,
    deregister_critical_after: Duration,
    agent: String,
    token: Option<Result<Token, InvalidToken>>,
}

const TTL: Duration = Duration::from_secs(15);
const CRITICAL_AFTER: Duration = Duration::from_secs(600);
/// Consul takes no shorter time.
const LEAST_CRITICAL_AFTER: Duration = Duration::from_secs(60);

impl Registration {
    /// An instance of this service, at the address to which clients connect.
    pub fn new(service: impl Into<String>, address: SocketAddr) -> Self {
        Self {
            service: service.into(),
            address,
            id: None,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            check: Check::ttl(TTL),
            deregister_critical_after: CRITICAL_AFTER,
            agent: String::new(),
            token: None,
        }
    }

    /// What the agent calls this instance. Default: the service and the address, as
    /// `orders-10.0.0.7:50051`, so that a server that is started again takes the place of the one
    /// before.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds a tag, as the `blue` of `consul:///orders?tag=blue`.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds a value to the metadata, which filters can use.
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.meta.insert(key.into(), value.into());
        self
    }

    /// How Consul finds out whether the server is well. Default: a TTL of 15 s, which needs nothing
    /// of the server.
    pub fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    /// After how long a failed check the agent removes the instance, at least 1 min. Default:
    /// 10 min, so that servers that were killed do not stay for ever. A server that is alive after
    /// all registers itself again.
    pub fn deregister_critical_after(mut self, time: Duration) -> Self {
        self.deregister_critical_after = time;
        self
    }

    /// The HTTP interface of the agent, as `host:port`. Default: `127.0.0.1:8500`, the local one.
    /// It is that of the machine on which the server runs, because an agent's checks go with it. It
    /// is asked over plain HTTP; see the [module](super) for an agent with TLS.
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = agent.into();
        self
    }

    /// The token of an access list. It stands in no event, error or `Debug`. Default: none.
    pub fn token(mut self, token: impl AsRef<str>) -> Self {
        self.token = Some(Token::new(token.as_ref()));
        self
    }

    /// Registers the server. From then on a task keeps it registered: it reports for a TTL, and
    /// looks whether the agent still knows the server, every third of the check's time, at most
    /// every 5 s. If the agent has forgotten it, it is registered again.
    ///
    /// Call it once the server listens: clients may find it at once.
    ///
    /// # Errors
    ///
    /// Settings that can't be, or the agent could not be reached within 5 s, or refused.
    pub async fn register(self) -> Result<Registered, RegistrationError> {
        let (agent, service) = self.checked().map_err(RegistrationError::Invalid)?;
        let keeper = Keeper::new(agent, service);
        keeper.register().await?;
        Ok(Registered::new(keeper))
    }

    fn checked(self) -> Result<(Agent, Service), InvalidRegistration> {
        let mut faults = Faults::default();
        let mut add = |is_fault: bool, setter: &'static str, text: &str| {
            faults.check(setter, !is_fault, || text.to_owned());
        };
        add(self.service.is_empty(), "new", "a service needs a name");
        let no_address = format!(
            "{} is no address to which a client can connect",
            self.address
        );
        let is_no_address = self.address.ip().is_unspecified() || self.address.port() == 0;
        add(is_no_address, "new", &no_address);
        add(self.id.as_deref() == Some(""), "id", "it is empty");
        let agent = AgentAddress::parse(&self.agent);
        let text = agent.as_ref().err().map_or("", String::as_str);
        add(agent.is_err(), "agent", text);
        let is_no_token = matches!(self.token, Some(Err(_)));
        add(is_no_token, "token", &InvalidToken.to_string());
        let no_period = format!("its time must be at least {LEAST:?}");
        add(self.check.period() < LEAST, "check", &no_period);
        let is_named_ttl =
            self.check.service.is_some() && matches!(self.check.kind, Kind::Ttl { .. });
        let no_name = "a TTL asks no health service, so it takes no name of one";
        add(is_named_ttl, "check", no_name);
        let no_time = format!("it must be at least {LEAST_CRITICAL_AFTER:?}");
        let is_short = self.deregister_critical_after < LEAST_CRITICAL_AFTER;
        add(is_short, "deregister_critical_after", &no_time);
        match agent {
            Ok(address) if faults.is_empty() => {
                let agent = Agent {
                    address,
                    token: self.token.and_then(Result::ok),
                };
                let id = self
                    .id
                    .unwrap_or_else(|| format!("{}-{}", self.service, self.address));
                let service = Service {
                    id,
                    name: self.service,
                    address: self.address,
                    tags: self.tags,
                    meta: self.meta,
                    check: self.check,
                    deregister_critical_after: self.deregister_critical_after,
                };
                Ok((agent, service))
            }
            _ => Err(InvalidRegistration::new(faults)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

    fn faults(registration: Registration) -> Vec<&'static str> {
        let invalid = registration.checked().unwrap_err();
        invalid.faults().iter().map(Fault::setter).collect()
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let registration = Registration::new("", "0.0.0.0:0".parse().unwrap())
            .id("")
            .agent("http://a")
            .token("a\nb")
            .check(Check::ttl(Duration::from_millis(999)).service("x"))
            .deregister_critical_after(Duration::from_secs(59));
        let expected = [
            "new",
            "new",
            "id",
            "agent",
            "token",
            "check",
            "check",
            "deregister_critical_after",
        ];
        assert_eq!(faults(registration), expected);
    }

    #[test]
    fn an_address_needs_an_ip_and_a_port() {
        for address in ["0.0.0.0:1", "[::]:1", "10.0.0.7:0"] {
            let registration = Registration::new("orders", address.parse().unwrap());
            assert_eq!(faults(registration), ["new"], "{address}");
        }
    }

    #[test]
    fn without_settings_the_ttl_is_15_s_and_a_failed_server_is_removed_after_10_min() {
        let registration = Registration::new("orders", "10.0.0.7:1".parse().unwrap());
        let (agent, service) = registration.checked().unwrap();
        assert_eq!(service.check, Check::ttl(Duration::from_secs(15)));
        assert_eq!(service.deregister_critical_after.as_secs(), 600);
        assert!(agent.token.is_none());
    }

    #[test]
    fn the_least_values_are_no_faults_and_the_id_has_the_address() {
        let registration = Registration::new("orders", "[::1]:1".parse().unwrap())
            .check(Check::grpc(Duration::from_secs(1)).service("x"))
            .deregister_critical_after(Duration::from_secs(60));
        let (agent, service) = registration.checked().unwrap();
        assert_eq!(agent.address, AgentAddress::default());
        assert_eq!(service.id, "orders-[::1]:1");
    }

    #[test]
    fn the_token_is_not_in_debug() {
        let registration = Registration::new("orders", "[::1]:1".parse().unwrap()).token("s3cret");
        assert!(!format!("{registration:?}").contains("s3cret"));
        assert!(format!("{registration:?}").contains("orders"));
    }
}
