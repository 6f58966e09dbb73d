use std::fmt;

/// Certificates in PEM; see [`TlsConfig`].
///
/// ```no_run
/// # fn main() -> Result<(), std::io::Error> {
/// use grpc_resilience::channel::Certificate;
///
/// let authority = Certificate::from_pem(std::fs::read("/etc/orders/ca.pem")?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    pem: Vec<u8>,
}

impl Certificate {
    /// One certificate, or several after each other. They are read by
    /// [`Builder::build`](crate::channel::Builder::build), which reports their faults.
    #[must_use]
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Self {
        Self {
            pem: pem.as_ref().to_vec(),
        }
    }
}

impl AsRef<[u8]> for Certificate {
    fn as_ref(&self) -> &[u8] {
        &self.pem
    }
}

/// A certificate is public; its bytes say nothing to a person.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} bytes)", self.pem.len())
    }
}

/// The certificate of this client and its private key, for servers that ask for one; see
/// [`TlsConfig::identity`].
///
/// ```no_run
/// # fn main() -> Result<(), std::io::Error> {
/// use grpc_resilience::channel::Identity;
/// use std::fs::read;
///
/// let identity = Identity::from_pem(read("/etc/orders/tls.crt")?, read("/etc/orders/tls.key")?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub(super) cert: Certificate,
    pub(super) key: Vec<u8>,
}

impl Identity {
    /// The certificate, followed by those of the authorities between it and the root, and its
    /// private key (PKCS #8, PKCS #1 or SEC 1), all in PEM.
    #[must_use]
    pub fn from_pem(cert: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        Self {
            cert: Certificate::from_pem(cert),
            key: key.as_ref().to_vec(),
        }
    }
}

/// Shows nothing of the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("cert", &self.cert)
            .finish_non_exhaustive()
    }
}

/// How a channel speaks TLS: for [`Builder::tls_config`](crate::channel::Builder::tls_config).
///
/// The setters have the names of tonic's `ClientTlsConfig`. Its `timeout` is not here, because the
/// [connect timeout](crate::channel::Builder::connect_timeout) bounds the TLS handshake together
/// with the other phases.
///
/// Servers are checked against the roots that are given here, and there must be some: the sum of
/// all that the setters name. The certificate must be for [`domain_name`](Self::domain_name).
///
/// It needs the feature `tls-ring` or `tls-aws-lc` for the cryptography. If the process has a
/// default provider of rustls, the channel takes that one.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::channel::{Certificate, Channel, Identity, TlsConfig};
/// use std::fs::read;
///
/// let tls = TlsConfig::new()
///     .ca_certificate(Certificate::from_pem(read("/etc/orders/ca.pem")?))
///     .identity(Identity::from_pem(read("/etc/orders/tls.crt")?, read("/etc/orders/tls.key")?))
///     .domain_name("orders.prod");
/// let channel = Channel::builder("https://10.0.0.1:50051").tls_config(tls).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct TlsConfig {
    pub(super) certificates: Vec<Certificate>,
    #[cfg(feature = "_tls-any")]
    pub(super) anchors: Vec<tokio_rustls::rustls::pki_types::TrustAnchor<'static>>,
    pub(super) sources: Sources,
    pub(super) identity: Option<Identity>,
    pub(super) domain_name: Option<String>,
    pub(super) assume_http2: bool,
    pub(super) use_key_log: bool,
}

/// Roots from elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    pub(super) native: bool,
    pub(super) webpki: bool,
    /// Of both those whose feature is on.
    pub(super) enabled: bool,
}

impl TlsConfig {
    /// No roots, no client certificate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts what these authorities sign.
    #[must_use]
    pub fn ca_certificate(mut self, certificate: Certificate) -> Self {
        self.certificates.push(certificate);
        self
    }

    /// Trusts what any of these authorities signs.
    #[must_use]
    pub fn ca_certificates(mut self, certificates: impl IntoIterator<Item = Certificate>) -> Self {
        self.certificates.extend(certificates);
        self
    }

    /// Trusts what this root signs.
    #[cfg(feature = "_tls-any")]
    #[must_use]
    pub fn trust_anchor(
        mut self,
        anchor: tokio_rustls::rustls::pki_types::TrustAnchor<'static>,
    ) -> Self {
        self.anchors.push(anchor);
        self
    }

    /// Trusts what any of these roots signs.
    #[cfg(feature = "_tls-any")]
    #[must_use]
    pub fn trust_anchors(
        mut self,
        anchors: impl IntoIterator<Item = tokio_rustls::rustls::pki_types::TrustAnchor<'static>>,
    ) -> Self {
        self.anchors.extend(anchors);
        self
    }

    /// Trusts the roots that the operating system trusts, as it has them when the channel is built,
    /// and anew with each [reload](crate::channel::Builder::tls_config_from). Needs the feature
    /// `tls-native-roots`.
    ///
    /// They are read by rustls-native-certs and checked by rustls. A verifier of the platform's own
    /// (rustls-platform-verifier) could not be added to roots from elsewhere: it replaces them.
    #[must_use]
    pub fn with_native_roots(mut self) -> Self {
        self.sources.native = true;
        self
    }

    /// Trusts the roots that Mozilla trusts, as of the release of the crate webpki-roots that is
    /// built in. Needs the feature `tls-webpki-roots`.
    #[must_use]
    pub fn with_webpki_roots(mut self) -> Self {
        self.sources.webpki = true;
        self
    }

    /// Trusts the roots of each of these two features that is on; one of them must be.
    #[must_use]
    pub fn with_enabled_roots(mut self) -> Self {
        self.sources.enabled = true;
        self
    }

    /// The certificate that servers get if they ask for one. Default: none.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The name or IP address that servers' certificates must be for; servers are told the name
    /// (SNI), and nothing if it is an IP address. Default: the host of the channel's
    /// [origin](crate::channel::Builder::origin), else the target's host; if the target has several
    /// hosts, such as the addresses of `ipv4:`, each server's own.
    ///
    /// Addresses that a [resolver](crate::channel::Builder::resolver) of your own returns are not
    /// hosts of the target. Their certificates must be for the target's host, even if that is an IP
    /// address, unless the resolver names the server ([`with_server_name`]).
    ///
    /// [`with_server_name`]: crate::channel::resolve::ResolvedAddress::with_server_name
    #[must_use]
    pub fn domain_name(mut self, name: impl Into<String>) -> Self {
        self.domain_name = Some(name.into());
        self
    }

    /// Speaks HTTP/2 also with a server that does not choose it by ALPN. Default: off, so that a
    /// dial of such a server fails with that reason.
    #[must_use]
    pub fn assume_http2(mut self, assume_http2: bool) -> Self {
        self.assume_http2 = assume_http2;
        self
    }

    /// Writes the keys of connections to the file that the environment variable `SSLKEYLOGFILE`
    /// names, for a network analyzer. Default: off.
    #[must_use]
    pub fn use_key_log(mut self) -> Self {
        self.use_key_log = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_key_is_never_shown() {
        let identity = Identity::from_pem("certificate", "secret");
        let config = TlsConfig::new().identity(identity);
        let text = format!("{config:?}");
        assert!(text.contains("identity: Some(Identity {"), "{text}");
        let bytes = format!("{:?}", b"secret");
        let list = format!("{:?}", b"secret".to_vec());
        for secret in ["secret", &bytes, &list] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
