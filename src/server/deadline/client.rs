//! Recognizes requests made by tonic's generated clients.

use http::Extensions;

use crate::call::Context;

/// Whether a client of this process made the request: requests from the network never hold these
/// extensions.
pub(super) fn is_a_client_s(extensions: &Extensions) -> bool {
    let is_generated = || extensions.get::<tonic::GrpcMethod<'static>>().is_some();
    extensions.get::<Context>().is_some() || is_generated()
}
