use tower_layer::Layer;

use super::{DrainService, Draining};

/// Puts [`Draining`] into the extensions of each request, and ends health watches at the GOAWAY;
/// see the [module](super).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::Drain;
/// use grpc_resilience::drain::DrainLayer;
///
/// let drain = Drain::builder().build()?;
/// let layer: DrainLayer = drain.layer();
/// // tonic::transport::Server::builder().layer(layer).add_service(..)
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DrainLayer {
    draining: Draining,
}

impl DrainLayer {
    pub(super) fn new(draining: Draining) -> Self {
        Self { draining }
    }
}

impl<S> Layer<S> for DrainLayer {
    type Service = DrainService<S>;

    fn layer(&self, inner: S) -> DrainService<S> {
        DrainService::new(inner, self.draining.clone())
    }
}
