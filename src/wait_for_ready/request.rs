use http::Request;
use tokio::time::Instant;

use crate::body::{Capture, Captured, RequestBody, capture};
use crate::call::{Context, Deadline};
use crate::grpc::TIMEOUT;

/// A call's request is kept for the dials to come whatever its size: it was never sent.
const NO_LIMIT: usize = usize::MAX;

/// Captures the request unless a layer above did so.
pub(super) fn keep<B: RequestBody>(request: Request<B>) -> (Request<B>, Option<Captured>) {
    let context = request.extensions().get::<Context>();
    if let Some(captured) = context.and_then(Context::captured) {
        let captured = captured.clone();
        return (request, Some(captured));
    }
    let (mut parts, body) = request.into_parts();
    match capture(body, NO_LIMIT) {
        Capture::Once(body) => (Request::from_parts(parts, body), None),
        Capture::Whole(captured) => {
            Context::of(&mut parts.extensions).share(captured.clone());
            let body = B::from_replay(captured.replay());
            (Request::from_parts(parts, body), Some(captured))
        }
    }
}

/// Without a deadline layer above, the caller's `grpc-timeout` still bounds the wait, and is written
/// anew after it.
pub(super) fn caller_deadline<B>(request: &mut Request<B>) -> Option<Deadline> {
    request.headers().get(TIMEOUT)?;
    let deadline = Deadline::from_headers(request.headers(), Instant::now()).ok()??;
    Context::of(request.extensions_mut()).bound(deadline);
    Some(deadline)
}
