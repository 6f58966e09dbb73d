use std::fmt;
use std::sync::Arc;

/// The endpoint that answered, an extension of each response of
/// [`Channel`](crate::channel::Channel).
///
/// ```
/// use grpc_resilience::classify::Endpoint;
///
/// fn log<T>(response: &tonic::Response<T>) {
///     if let Some(endpoint) = response.extensions().get::<Endpoint>() {
///         println!("answered by {endpoint}");
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint(Arc<str>);

impl Endpoint {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self(name)
    }

    /// Its address, such as `10.0.0.1:50051` or `unix:/run/orders.sock`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
