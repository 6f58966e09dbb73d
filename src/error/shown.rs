//! With tonic: the status that users see, and how statuses of other libraries are read.

use crate::classify;
use crate::grpc::Status;

/// The source of our errors.
pub(super) type Shown = tonic::Status;

pub(super) fn shown(status: &Status) -> Shown {
    Shown::from(status)
}

pub(super) fn is_foreign_status(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<tonic::Status>()
}

/// The first `tonic::Status` in the chain.
pub(super) fn foreign_status(error: &(dyn std::error::Error + 'static)) -> Option<Status> {
    let status = classify::chain(error).find_map(|cause| cause.downcast_ref::<tonic::Status>());
    status.map(Status::from)
}
