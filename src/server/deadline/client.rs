//! The adapter that knows what tonic's generated clients put into a request.

use http::Extensions;

use crate::call::Context;

/// Whether a client of this process made the request: none that came over a wire holds these.
pub(super) fn is_a_client_s(extensions: &Extensions) -> bool {
    let is_generated = || extensions.get::<tonic::GrpcMethod<'static>>().is_some();
    extensions.get::<Context>().is_some() || is_generated()
}
