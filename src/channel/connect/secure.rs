use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, KeyLogFile};

use super::last_words::LastWords;
use super::peer_name::PeerName;
use super::roots;
use super::tls_config::{Identity, TlsConfig};
use crate::channel::address::Address;
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
    /// Unless an endpoint's own address is its name.
    of_target: Option<PeerName>,
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
        address: &Address,
    ) -> Result<Box<dyn Io>, BoxError> {
        let mut stream = self
            .connector
            .connect(self.server.name_of(address), LastWords::new(io))
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
        let (host, of_target) = match &config.domain_name {
            Some(name) => (name.as_str(), None),
            None => (peer.host(), Some(peer.clone())),
        };
        let Ok(name) = ServerName::try_from(host) else {
            faults.push(format!(
                "`domain_name`: {host:?} is no name of a server and no IP address"
            ));
            return None;
        };
        Some(Self {
            name: name.to_owned(),
            of_target,
        })
    }

    /// For an IP address, rustls sends no SNI (RFC 6066 section 3).
    fn name_of(&self, address: &Address) -> ServerName<'static> {
        let peer = self.of_target.as_ref();
        match peer.and_then(|peer| peer.own_address(address)) {
            Some(own) => own.into(),
            None => self.name.clone(),
        }
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
