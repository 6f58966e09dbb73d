//! Replaces `secure.rs` without a feature of TLS: each configuration is a fault.

use super::Dial;
use super::peer_name::PeerName;
use super::tls_config::TlsConfig;
use crate::channel::connection::Io;
use crate::error::BoxError;

pub(in crate::channel) enum Secure {}

impl Secure {
    pub(in crate::channel) fn new(_: &TlsConfig, _: &PeerName) -> Result<Self, Vec<String>> {
        Err(vec![
            "TLS needs the feature `tls-ring` or `tls-aws-lc` of grpc-resilience".into(),
        ])
    }

    #[expect(clippy::unused_async, reason = "as with TLS")]
    pub(super) async fn handshake(
        &self,
        _: Box<dyn Io>,
        _: &Dial,
    ) -> Result<Box<dyn Io>, BoxError> {
        match *self {}
    }
}
