use std::error::Error;
use std::fmt;
use std::io;

use super::chain;

/// Why no connection can be made, for faults that waiting rarely cures: a certificate or a setting
/// has to change.
///
/// A call waits all the same, because a certificate may be replaced meanwhile; its error and the
/// readiness handle name the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectFault {
    /// The server's certificate is signed by an authority that the client does not trust.
    UntrustedCertificate,
    /// The server's certificate is expired, or is not valid yet.
    CertificateExpired,
    /// The server's certificate is for another name.
    WrongName,
    /// The server's certificate is invalid for another reason.
    InvalidCertificate,
    /// The server refused the TLS handshake, for example because the client has no certificate.
    TlsRefused,
    /// The server does not speak TLS.
    NotTls,
    /// The server speaks TLS, but does not say by ALPN that it speaks HTTP/2.
    Http2NotNegotiated,
    /// The server does not speak HTTP/2 without TLS: it answered with a TLS alert, or in HTTP/1.
    ///
    /// A TLS server may instead close the connection silently, as a server that dies does. This is
    /// not reported as a fault; until the channel has answered a call, wait-for-ready adds both
    /// causes to the message.
    NotHttp2,
    /// The endpoint's URI has no scheme or no authority: no call can be sent, and none waits.
    InvalidUri,
    /// The proxy requires a password, or rejected the given one.
    ProxyAuthentication,
    /// The operating system denies the connection, for example to a Unix socket.
    PermissionDenied,
}

/// The text of an error in the chain for each fault; the first match wins. Sources: rustls 0.23
/// `src/error.rs`; OpenSSL 3 `crypto/x509/x509_txt.c` and `ssl/ssl_err.c`; hyper-util 0.1
/// `client/legacy/connect/proxy/tunnel.rs`; h2 0.4 `src/error.rs`; tonic 0.14 `transport/error.rs`;
/// RFC 9110 15.5.8. The texts are compared, because naming the libraries' types would make each one
/// a dependency, in exactly the version that the connector uses.
const TEXTS: [(&str, ConnectFault); 23] = [
    ("certificate not valid for name", ConnectFault::WrongName),
    ("NotValidForName", ConnectFault::WrongName),
    ("hostname mismatch", ConnectFault::WrongName),
    ("certificate expired", ConnectFault::CertificateExpired),
    ("certificate has expired", ConnectFault::CertificateExpired),
    (
        "certificate not valid yet",
        ConnectFault::CertificateExpired,
    ),
    (
        "certificate is not yet valid",
        ConnectFault::CertificateExpired,
    ),
    ("UnknownIssuer", ConnectFault::UntrustedCertificate),
    (
        "self-signed certificate",
        ConnectFault::UntrustedCertificate,
    ),
    (
        "unable to get local issuer certificate",
        ConnectFault::UntrustedCertificate,
    ),
    ("invalid peer certificate", ConnectFault::InvalidCertificate),
    (
        "certificate verify failed",
        ConnectFault::InvalidCertificate,
    ),
    (
        "received fatal alert: NoApplicationProtocol",
        ConnectFault::Http2NotNegotiated,
    ),
    ("did not negotiate HTTP/2", ConnectFault::Http2NotNegotiated),
    (
        "HTTP/2 was not negotiated",
        ConnectFault::Http2NotNegotiated,
    ),
    ("received fatal alert", ConnectFault::TlsRefused),
    ("peer is incompatible", ConnectFault::TlsRefused),
    (
        "received corrupt message of type InvalidContentType",
        ConnectFault::NotTls,
    ),
    ("wrong version number", ConnectFault::NotTls),
    // The first bytes of a TLS alert, or of `HTTP/1.1`, read as the length of a frame.
    (
        "connection error detected: frame with invalid size",
        ConnectFault::NotHttp2,
    ),
    (INVALID_URI, ConnectFault::InvalidUri),
    (
        "proxy authorization required",
        ConnectFault::ProxyAuthentication,
    ),
    (
        "407 Proxy Authentication Required",
        ConnectFault::ProxyAuthentication,
    ),
];

/// tonic's text for an endpoint without a scheme or an authority.
pub(super) const INVALID_URI: &str = "invalid URI";

impl ConnectFault {
    /// The fault of a failed connect or a lost connection, found in the chain of its error.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        chain(error).find_map(|link| {
            let io = link.downcast_ref::<io::Error>();
            if io.is_some_and(|it| it.kind() == io::ErrorKind::PermissionDenied) {
                return Some(Self::PermissionDenied);
            }
            let said = link.to_string();
            let found = TEXTS.iter().find(|(text, _)| said.contains(text));
            found.map(|(_, fault)| *fault)
        })
    }

    /// A stable name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UntrustedCertificate => "untrusted_certificate",
            Self::CertificateExpired => "certificate_expired",
            Self::WrongName => "wrong_name",
            Self::InvalidCertificate => "invalid_certificate",
            Self::TlsRefused => "tls_refused",
            Self::NotTls => "not_tls",
            Self::Http2NotNegotiated => "http2_not_negotiated",
            Self::NotHttp2 => "not_http2",
            Self::InvalidUri => "invalid_uri",
            Self::ProxyAuthentication => "proxy_authentication",
            Self::PermissionDenied => "permission_denied",
        }
    }

    /// How to repair the fault, in one sentence.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::UntrustedCertificate => {
                "give the client the certificate of the authority that signed the server's"
            }
            Self::CertificateExpired => {
                "renew the server's certificate, and check the clocks of both sides"
            }
            Self::WrongName => {
                "connect to a name that the server's certificate has, or set the client's \
                 `domain_name` to one"
            }
            Self::InvalidCertificate => {
                "replace the server's certificate, or, if its signature is bad because the \
                 authority has a new key, give the client the authority's new certificate"
            }
            Self::TlsRefused => {
                "check which client certificates, TLS versions and protocols the server takes"
            }
            Self::NotTls => "use `http://`, or a port on which the server speaks TLS",
            Self::Http2NotNegotiated => {
                "let the server offer `h2` by ALPN, or set `assume_http2` if it speaks HTTP/2 all \
                 the same"
            }
            Self::NotHttp2 => {
                "use `https://` if the server speaks TLS, or else the port of a gRPC server"
            }
            Self::InvalidUri => {
                "give the endpoint's URI a scheme and a host, such as `http://127.0.0.1:50051`"
            }
            Self::ProxyAuthentication => "give the proxy's user and password to the connector",
            Self::PermissionDenied => "give the process the right to connect",
        }
    }
}

impl fmt::Display for ConnectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waiting rarely cures this: {}", self.advice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("transport error")]
    struct Outer(#[source] io::Error);

    #[test]
    fn each_text_of_its_source_is_recognised() {
        for (text, fault) in [
            (
                "invalid peer certificate: UnknownIssuer",
                ConnectFault::UntrustedCertificate,
            ),
            (
                "invalid peer certificate: certificate not valid for name \"stock.test\"; \
                 certificate is only valid for DnsName(\"orders.test\")",
                ConnectFault::WrongName,
            ),
            (
                "invalid peer certificate: certificate expired: verification time 2 (UNIX), but \
                 certificate is not valid after 1 (1 seconds ago)",
                ConnectFault::CertificateExpired,
            ),
            (
                "invalid peer certificate: BadSignature",
                ConnectFault::InvalidCertificate,
            ),
            (
                "received fatal alert: CertificateRequired",
                ConnectFault::TlsRefused,
            ),
            (
                "received fatal alert: NoApplicationProtocol",
                ConnectFault::Http2NotNegotiated,
            ),
            (
                "HTTP/2 was not negotiated.",
                ConnectFault::Http2NotNegotiated,
            ),
            (
                "received corrupt message of type InvalidContentType",
                ConnectFault::NotTls,
            ),
            (
                "tunnel error: proxy authorization required",
                ConnectFault::ProxyAuthentication,
            ),
            (
                "connection error detected: frame with invalid size",
                ConnectFault::NotHttp2,
            ),
        ] {
            let error = Outer(io::Error::other(text));
            assert_eq!(ConnectFault::of(&error), Some(fault), "{text}");
        }
        let denied = Outer(io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            ConnectFault::of(&denied),
            Some(ConnectFault::PermissionDenied)
        );
    }

    #[test]
    fn a_bad_signature_names_both_remedies_because_it_tells_not_which_key_is_new() {
        let advice = ConnectFault::InvalidCertificate.advice();
        assert!(advice.contains("replace the server's certificate"));
        assert!(advice.contains("the authority has a new key"));
    }

    #[test]
    fn what_waiting_may_cure_is_no_fault() {
        for text in [
            "tcp connect error",
            "Connection refused (os error 111)",
            "failed to lookup address information: Temporary failure in name resolution",
            "tunnel error: unsuccessful",
            "deadline has elapsed",
            "connection reset by peer",
        ] {
            let error = Outer(io::Error::other(text));
            assert_eq!(ConnectFault::of(&error), None, "{text}");
        }
    }
}
