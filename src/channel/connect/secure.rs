use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, KeyLogFile};

use super::Dial;
use super::last_words::LastWords;
use super::peer_name::PeerName;
use super::roots;
use super::tls_config::{Identity, TlsConfig};
use crate::channel::connection::Io;
use crate::error::BoxError;

/// The protocol of HTTP/2 over TLS (RFC 9113 section 3.2).
const H2: &[u8] = b"h2";

/// A configuration of TLS that was checked.
pub(in crate::channel) struct Secure {
    connector: TlsConnector,
    server: Server,
    assume_http2: bool,
}

/// The name that the server's certificate must be for.
struct Server {
    name: ServerName<'static>,
    /// It is set for all endpoints, those with a name of their own among them.
    is_for_all: bool,
}

impl Secure {
    /// All faults, in words.
    pub(in crate::channel) fn new(
        config: &TlsConfig,
        peer: &PeerName,
    ) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let server = Server::new(config, peer, &mut faults);
        let roots = roots::of(config, &mut faults);
        let identity = config
            .identity
            .as_ref()
            .and_then(|identity| read(identity, &mut faults));
        let provider = roots::provider(&mut faults);
        let (Some(server), Some(provider), true) = (server, provider, faults.is_empty()) else {
            return Err(faults);
        };
        let in_words = |error: tokio_rustls::rustls::Error| vec![error.to_string()];
        // With a provider of one's own: several in a process have no default, and rustls panics.
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(in_words)?
            .with_root_certificates(roots);
        let mut client = match identity {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| vec![format!("`identity`: {error}")])?,
            None => builder.with_no_client_auth(),
        };
        client.alpn_protocols.push(H2.into());
        if config.use_key_log {
            client.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(Self {
            connector: Arc::new(client).into(),
            server,
            assume_http2: config.assume_http2,
        })
    }

    pub(super) async fn handshake(
        &self,
        io: Box<dyn Io>,
        dial: &Dial,
    ) -> Result<Box<dyn Io>, BoxError> {
        let mut stream = self
            .connector
            .connect(self.server.name_of(dial)?, LastWords::new(io))
            .await?;
        let (io, session) = stream.get_mut();
        io.handshake_is_over();
        // rustls refuses a protocol that was not offered.
        if session.alpn_protocol() != Some(H2) && !self.assume_http2 {
            return Err("the server did not negotiate HTTP/2 by ALPN (`h2`)".into());
        }
        Ok(Box::new(stream))
    }
}

impl Server {
    fn new(config: &TlsConfig, peer: &PeerName, faults: &mut Vec<String>) -> Option<Self> {
        let host = config.domain_name.as_deref().unwrap_or(peer.host());
        let Ok(name) = ServerName::try_from(host) else {
            faults.push(format!(
                "`domain_name`: {host:?} is no name of a server and no IP address"
            ));
            return None;
        };
        Some(Self {
            name: name.to_owned(),
            is_for_all: config.domain_name.is_some(),
        })
    }

    /// The `domain_name`, else the endpoint's own name, else the channel's. For an IP address,
    /// rustls sends no SNI (RFC 6066 section 3).
    fn name_of(&self, dial: &Dial) -> Result<ServerName<'static>, BoxError> {
        let own = dial.server_name.as_deref().filter(|_| !self.is_for_all);
        let Some(own) = own else {
            return Ok(self.name.clone());
        };
        let name = ServerName::try_from(own);
        let name = name.map_err(|_| format!("{own:?} is no name of a server"))?;
        Ok(name.to_owned())
    }
}

type ChainAndKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read(identity: &Identity, faults: &mut Vec<String>) -> Option<ChainAndKey> {
    let chain = roots::certificates(&identity.cert, "identity", faults);
    let key = PrivateKeyDer::from_pem_slice(&identity.key);
    if let Err(error) = &key {
        faults.push(format!("`identity`: the private key: {error}"));
    }
    Some((chain?, key.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::address::Address;

    // CONTRACT N1
    #[test]
    fn an_endpoint_s_own_name_counts_unless_one_is_set_for_all() {
        let target = "10.0.0.1:443".parse().unwrap();
        let peer = PeerName::of(None, Some(&target));
        let dial = |server_name: Option<&str>| Dial {
            address: Address::Tcp("10.0.0.2:443".parse().unwrap()),
            server_name: server_name.map(Into::into),
            progress: Arc::default(),
        };
        let name = |config: &TlsConfig, dial: &Dial| {
            let server = Server::new(config, &peer, &mut Vec::new()).unwrap();
            server.name_of(dial).map(|name| name.to_str().into_owned())
        };
        let for_all = TlsConfig::new().domain_name("orders.prod");
        let unset = TlsConfig::new();
        for (config, own, expected) in [
            (&unset, None, "10.0.0.1"),
            (&unset, Some("orders-2.prod"), "orders-2.prod"),
            (&for_all, Some("orders-2.prod"), "orders.prod"),
        ] {
            assert_eq!(name(config, &dial(own)).unwrap(), expected);
        }
        let error = name(&unset, &dial(Some("no name"))).unwrap_err();
        assert!(error.to_string().contains("no name"), "{error}");
    }
}
