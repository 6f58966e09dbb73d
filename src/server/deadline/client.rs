//! The adapter that knows what tonic's generated clients put into a request.

use http::Extensions;

use crate::call::Context;

/// Whether a client of this process made the request: none that came over a wire holds these.
pub(super) fn is_a_client_s(extensions: &Extensions) -> bool {
    extensions.get::<Context>().is_some() || has_method(extensions)
}

#[cfg(feature = "tonic")]
fn has_method(extensions: &Extensions) -> bool {
    extensions.get::<tonic::GrpcMethod<'static>>().is_some()
}

#[cfg(not(feature = "tonic"))]
fn has_method(_: &Extensions) -> bool {
    false
}
