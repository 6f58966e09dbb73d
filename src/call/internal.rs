//! What the tests of this repository write into a call and read of it, as the layers do.

use http::{Extensions, HeaderMap};
use tokio::time::Instant;

use super::{Context, Deadline, ParentCall};

/// Bounds the call as a layer does; an earlier deadline stays.
pub fn bound(extensions: &mut Extensions, deadline: Deadline) {
    Context::of(extensions).bound(deadline);
}

/// Whether a trace follows the call.
#[must_use]
pub fn is_followed(context: &Context) -> bool {
    context.trace().is_some()
}

/// The deadline that `grpc-timeout` says; `None` without the header, or if it is malformed.
#[must_use]
pub fn stated_deadline(headers: &HeaderMap, now: Instant) -> Option<Deadline> {
    Deadline::from_headers(headers, now).ok().flatten()
}

/// A parent call, which is over when its other half is dropped.
#[must_use]
pub fn parent_call() -> (ParentCall, impl Sized) {
    ParentCall::begin(None)
}
