//! Dials: a transport for an address.

#[cfg(feature = "hyper-util")]
mod hyper;
#[cfg(feature = "_tls-any")]
mod last_words;
mod peer_name;
#[cfg(feature = "_tls-any")]
mod roots;
#[cfg_attr(not(feature = "_tls-any"), path = "no_tls.rs")]
mod secure;
mod sockets;
mod tls;
mod tls_config;

use std::pin::Pin;
use std::sync::Arc;

use tower_service::Service;

use crate::error::BoxError;

use super::address::Address;
use super::connection::{Io, Progress};

#[cfg(feature = "hyper-util")]
pub use hyper::HyperConnector;
pub(super) use peer_name::PeerName;
pub(super) use secure::Secure;
pub(super) use sockets::Sockets;
pub(super) use tls::Tls;
pub use tls_config::{Certificate, Identity, TlsConfig};

pub(super) type Dialled = Pin<Box<dyn Future<Output = Result<Box<dyn Io>, BoxError>> + Send>>;

/// What is to be connected to.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) address: Address,
    /// The name for which this server's certificate has to be valid, if it has one of its own.
    #[cfg(feature = "_tls-any")]
    pub(super) server_name: Option<Arc<str>>,
    /// How far it has got.
    pub(super) progress: Arc<Progress>,
}

/// Makes transports; any `tower::Service<Address>` is one.
pub(super) trait Connector: Send + Sync {
    fn connect(&self, dial: Dial) -> Dialled;

    /// Grows with each change of its settings.
    fn generation(&self) -> u64 {
        0
    }
}

/// A service as a connector: each dial has a clone of it.
pub(super) struct OfService<S>(pub(super) crate::kernel::sync::Mutex<S>);

impl<S> Connector for OfService<S>
where
    S: Service<Address> + Clone + Send + 'static,
    S::Response: Io + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    fn connect(&self, dial: Dial) -> Dialled {
        let mut service = self.0.lock().clone();
        Box::pin(async move {
            std::future::poll_fn(|cx| service.poll_ready(cx))
                .await
                .map_err(Into::into)?;
            let io = service.call(dial.address).await.map_err(Into::into)?;
            Ok(Box::new(io) as Box<dyn Io>)
        })
    }
}

/// That of a channel.
pub(super) type AnyConnector = Arc<dyn Connector>;
