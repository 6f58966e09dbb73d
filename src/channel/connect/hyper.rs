use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tower_service::Service;

use crate::channel::address::Address;
use crate::error::BoxError;

/// A connector of hyper's world as one of this channel's: a proxy, for example.
///
/// hyper-util's proxies ([`Tunnel`], [`SocksV5`], ..) and connectors like them take a [`Uri`] and
/// return hyper's `Read + Write`. This takes the endpoint's [`Address`], asks the inner service for
/// `https://address:port`, and returns tokio's `AsyncRead + AsyncWrite`. The channel makes TLS
/// inside the tunnel if its target or its settings say so.
///
/// Addresses that are no TCP addresses are errors of the dial. The feature `hyper-util` turns it
/// on; the proxies themselves need hyper-util's own features `client-proxy` and `client-legacy`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::channel::{Channel, HyperConnector};
/// use hyper_util::client::legacy::connect::HttpConnector;
/// use hyper_util::client::legacy::connect::proxy::Tunnel;
///
/// let proxy = "http://proxy.internal:3128".parse()?;
/// let tunnel = Tunnel::new(proxy, HttpConnector::new());
/// let channel = Channel::builder("http://10.0.0.1:50051")
///     .connector(HyperConnector::new(tunnel))
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// [`Tunnel`]: https://docs.rs/hyper-util/latest/hyper_util/client/legacy/connect/proxy/struct.Tunnel.html
/// [`SocksV5`]: https://docs.rs/hyper-util/latest/hyper_util/client/legacy/connect/proxy/struct.SocksV5.html
#[derive(Clone)]
pub struct HyperConnector<S> {
    inner: S,
    destination: Option<Uri>,
}

impl<S> HyperConnector<S> {
    /// Asks the service for the address of each endpoint that is dialled.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            destination: None,
        }
    }

    /// Asks for this instead, whatever the endpoint's address is: for a proxy that alone can
    /// resolve the server's name. All endpoints of the channel are then this server.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use grpc_resilience::channel::{Channel, HyperConnector};
    /// # use hyper_util::client::legacy::connect::HttpConnector;
    /// # use hyper_util::client::legacy::connect::proxy::Tunnel;
    /// # let tunnel = Tunnel::new("http://proxy.internal:3128".parse()?, HttpConnector::new());
    /// let orders = "https://orders.prod:443".parse()?;
    /// let channel = Channel::builder("ipv4:0.0.0.0:443")
    ///     .origin("http://orders.prod".parse()?)
    ///     .connector(HyperConnector::new(tunnel).destination(orders))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn destination(mut self, destination: Uri) -> Self {
        self.destination = Some(destination);
        self
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn uri(&self, address: &Address) -> Result<Uri, BoxError> {
        match (&self.destination, address) {
            (Some(destination), _) => Ok(destination.clone()),
            (None, Address::Tcp(address)) => uri_of(*address),
            (None, other) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("a connector of hyper's takes TCP addresses only, not {other}"),
            )
            .into()),
        }
    }
}

/// The scheme says nothing of TLS, which is made afterwards: connectors refuse to know a port
/// without one.
fn uri_of(address: SocketAddr) -> Result<Uri, BoxError> {
    Ok(format!("https://{address}").parse()?)
}

impl<S> Service<Address> for HyperConnector<S>
where
    S: Service<Uri>,
    S::Response: hyper::rt::Read + hyper::rt::Write,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = TokioIo<S::Response>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, address: Address) -> Self::Future {
        match self.uri(&address) {
            Ok(uri) => {
                let connecting = self.inner.call(uri);
                Box::pin(async move {
                    let io = connecting.await.map_err(Into::into)?;
                    Ok(TokioIo::new(io))
                })
            }
            Err(error) => Box::pin(async move { Err(error) }),
        }
    }
}

impl<S> fmt::Debug for HyperConnector<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperConnector")
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_asked_for_by_its_address_unless_a_destination_is_set() {
        let connector = HyperConnector::new(());
        for address in ["10.0.0.1:50051", "[::1]:443"] {
            let uri = connector
                .uri(&Address::Tcp(address.parse().unwrap()))
                .unwrap();
            assert_eq!(uri.authority().unwrap().as_str(), address);
            assert!(uri.port().is_some());
        }
        let unix = Address::Unix("/run/o.sock".into());
        let error = connector.uri(&unix).unwrap_err().to_string();
        assert!(error.contains("unix:/run/o.sock"), "{error}");
        let to = connector.destination("https://orders.prod:443".parse().unwrap());
        assert_eq!(to.uri(&unix).unwrap().host(), Some("orders.prod"));
    }
}
