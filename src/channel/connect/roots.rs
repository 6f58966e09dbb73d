//! What TLS trusts, and its cryptography.

use std::sync::Arc;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::tls_config::{Certificate, TlsConfig};

/// All roots of a configuration; none is a fault.
pub(super) fn of(config: &TlsConfig, faults: &mut Vec<String>) -> RootCertStore {
    let mut roots: RootCertStore = config.anchors.iter().cloned().collect();
    let before = faults.len();
    for certificate in &config.certificates {
        let found = certificates(certificate, "ca_certificate", faults);
        for certificate in found.into_iter().flatten() {
            if let Err(error) = roots.add(certificate) {
                faults.push(format!("`ca_certificate`: {error}"));
            }
        }
    }
    let (has_native, has_webpki) = (
        cfg!(feature = "tls-native-roots"),
        cfg!(feature = "tls-webpki-roots"),
    );
    if config.sources.native || (config.sources.enabled && has_native) {
        add_native(&mut roots, faults);
    }
    if config.sources.webpki || (config.sources.enabled && has_webpki) {
        add_webpki(&mut roots, faults);
    }
    if config.sources.enabled && !has_native && !has_webpki {
        faults.push(
            "`with_enabled_roots` needs the feature `tls-native-roots` or `tls-webpki-roots`"
                .into(),
        );
    }
    if roots.is_empty() && faults.len() == before {
        faults.push(
            "it trusts no root, so that each connection would fail: give `ca_certificate`, or take \
             `with_native_roots` or `with_webpki_roots`"
                .into(),
        );
    }
    roots
}

/// The certificates of a PEM file; none is a fault.
pub(super) fn certificates(
    certificate: &Certificate,
    setter: &str,
    faults: &mut Vec<String>,
) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_ref()).collect();
    match found {
        Ok(found) if !found.is_empty() => return Some(found),
        Ok(_) => faults.push(format!("`{setter}`: there is no certificate in the PEM")),
        Err(error) => faults.push(format!("`{setter}`: {error}")),
    }
    None
}

#[cfg(feature = "tls-native-roots")]
fn add_native(roots: &mut RootCertStore, faults: &mut Vec<String>) {
    let found = rustls_native_certs::load_native_certs();
    // Some systems have certificates in their store that no library reads.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.iter().map(|error| format!("; {error}"));
        let why: String = why.collect();
        faults.push(format!(
            "`with_native_roots`: the operating system has no root certificate{why}"
        ));
    }
}

#[cfg(not(feature = "tls-native-roots"))]
fn add_native(_: &mut RootCertStore, faults: &mut Vec<String>) {
    faults.push("`with_native_roots` needs the feature `tls-native-roots`".into());
}

#[cfg(feature = "tls-webpki-roots")]
fn add_webpki(roots: &mut RootCertStore, _: &mut Vec<String>) {
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
}

#[cfg(not(feature = "tls-webpki-roots"))]
fn add_webpki(_: &mut RootCertStore, faults: &mut Vec<String>) {
    faults.push("`with_webpki_roots` needs the feature `tls-webpki-roots`".into());
}

/// That of the process, else that of the features.
pub(super) fn provider(faults: &mut Vec<String>) -> Option<Arc<CryptoProvider>> {
    let provider = CryptoProvider::get_default().cloned().or_else(built_in);
    if provider.is_none() {
        faults.push(
            "TLS needs the feature `tls-ring` or `tls-aws-lc`, or a default provider of rustls"
                .into(),
        );
    }
    provider
}

#[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "without these features there is none"
)]
fn built_in() -> Option<Arc<CryptoProvider>> {
    #[cfg(not(feature = "tls-ring"))]
    use tokio_rustls::rustls::crypto::aws_lc_rs as built_in;
    #[cfg(feature = "tls-ring")]
    use tokio_rustls::rustls::crypto::ring as built_in;

    Some(Arc::new(built_in::default_provider()))
}

#[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
fn built_in() -> Option<Arc<CryptoProvider>> {
    None
}
