//! Dials: a transport for an address.

mod sockets;

use std::pin::Pin;
use std::sync::Arc;

use tower_service::Service;

use crate::error::BoxError;

use super::address::Address;
use super::connection::Io;

pub(super) use sockets::Sockets;

pub(super) type Dialled = Pin<Box<dyn Future<Output = Result<Box<dyn Io>, BoxError>> + Send>>;

/// Makes transports; any `tower::Service<Address>` is one.
pub(super) trait Connector: Send + Sync {
    fn connect(&self, address: Address) -> Dialled;
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
    fn connect(&self, address: Address) -> Dialled {
        let mut service = self.0.lock().clone();
        Box::pin(async move {
            std::future::poll_fn(|cx| service.poll_ready(cx))
                .await
                .map_err(Into::into)?;
            let io = service.call(address).await.map_err(Into::into)?;
            Ok(Box::new(io) as Box<dyn Io>)
        })
    }
}

/// That of a channel.
pub(super) type AnyConnector = Arc<dyn Connector>;
