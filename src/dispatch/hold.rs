use http::Request;

use crate::call;

/// Says whether the layer that has the request keeps it from those below.
#[cold]
pub(crate) fn hold<B>(request: &Request<B>, is_held: bool) {
    if let Some(context) = request.extensions().get::<call::Context>() {
        context.hold_back(is_held);
    }
}
