use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::repeat::{Asked, Found, Lookup};
use super::{ResolveError, ResolvedAddress};

/// The system's resolver does not tell for how long its answer is good.
const TTL: Duration = Duration::from_secs(30);

/// Asks the system's resolver, on a thread of tokio's for blocking work.
///
/// Its errors are never authoritative: std does not tell a name that does not exist from a server
/// that can't be reached.
#[derive(Debug)]
pub(super) struct System {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    pub(super) server_name: Option<Arc<str>>,
}

impl Lookup for System {
    type Answer = io::Result<Vec<SocketAddr>>;

    fn name(&self) -> &str {
        &self.host
    }

    fn ask(&self) -> Asked<Self::Answer> {
        let asked = (self.host.to_string(), self.port);
        Box::pin(async move {
            let addresses = tokio::net::lookup_host(asked).await?;
            Ok(addresses.collect())
        })
    }

    fn read(&mut self, answer: Self::Answer) -> Result<Found, ResolveError> {
        let addresses = answer.map_err(|error| {
            ResolveError::new(&*self.host, "the system's resolver failed").with_source(error)
        })?;
        if addresses.is_empty() {
            let answered = "the system's resolver found none";
            return Err(ResolveError::no_address(&*self.host, answered));
        }
        let addresses = addresses.into_iter().map(|address| ResolvedAddress {
            server_name: self.server_name.clone(),
            ..address.into()
        });
        Ok(Found {
            addresses: addresses.collect(),
            ttl: TTL,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    fn system(host: &str, server_name: Option<&str>) -> System {
        System {
            host: host.into(),
            port: 50051,
            server_name: server_name.map(Into::into),
        }
    }

    // CONTRACT N6
    #[tokio::test]
    async fn the_system_s_resolver_is_asked_every_30_s() {
        let mut localhost = system("localhost", Some("orders"));
        let answer = localhost.ask().await;
        let found = localhost.read(answer).unwrap();
        assert_eq!(found.ttl, Duration::from_secs(30));
        for found in &found.addresses {
            let address = found.address.to_string();
            assert!(["127.0.0.1:50051", "[::1]:50051"].contains(&&*address));
            assert_eq!(found.server_name.as_deref(), Some("orders"));
        }
        assert!(!found.addresses.is_empty());
    }

    // CONTRACT N2
    #[test]
    fn its_errors_are_not_authoritative_and_an_empty_answer_is() {
        let mut orders = system("orders", None);
        let error = orders
            .read(Err(io::Error::other("no such host")))
            .unwrap_err();
        assert!(!error.is_authoritative());
        let text = "orders was not resolved: the system's resolver failed";
        assert_eq!(error.to_string(), text);
        assert_eq!(error.source().unwrap().to_string(), "no such host");
        let error = orders.read(Ok(Vec::new())).unwrap_err();
        assert!(error.is_authoritative());
    }
}
