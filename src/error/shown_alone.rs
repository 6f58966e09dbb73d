//! Replaces `shown.rs` without tonic: only this crate's status is known.

use crate::grpc::Status;

/// The source of our errors.
pub(super) type Shown = Status;

pub(super) fn shown(status: &Status) -> Shown {
    status.clone()
}

pub(super) fn is_foreign_status(_: &(dyn std::error::Error + 'static)) -> bool {
    false
}

pub(super) fn foreign_status(_: &(dyn std::error::Error + 'static)) -> Option<Status> {
    None
}
