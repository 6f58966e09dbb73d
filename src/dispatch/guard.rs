use http::Request;

use crate::body::{self, RequestBody, RequestGuard};
use crate::call::Context;

/// Ties the request to its call, which ends it: a transport that the call has left would complete
/// the request later (CONTRACT R13).
///
/// `None` where a retry layer further out does that for each attempt, and for a request that is
/// complete with its head.
pub(crate) fn guard<B: RequestBody>(request: &mut Request<B>) -> Option<RequestGuard> {
    let context = request.extensions().get::<Context>();
    let is_attempt = context.is_some_and(|context| context.attempt().is_some());
    if is_attempt {
        None
    } else {
        always_guard(request)
    }
}

/// The same, whatever layers further out do.
pub(crate) fn always_guard<B: RequestBody>(request: &mut Request<B>) -> Option<RequestGuard> {
    let is_open = !request.body().is_end_stream();
    is_open.then(|| body::guard(request.body_mut()))
}
