//! The adapter between this crate's status and tonic's.

use super::{Code, Status};

impl From<&tonic::Status> for Status {
    fn from(status: &tonic::Status) -> Self {
        Self::new(Code::from(status.code()), status.message())
            .with_details(bytes::Bytes::copy_from_slice(status.details()))
            .with_metadata(status.metadata().clone().into_headers())
    }
}

impl From<&Status> for tonic::Status {
    fn from(status: &Status) -> Self {
        let metadata = tonic::metadata::MetadataMap::from_headers(status.metadata().clone());
        Self::with_details_and_metadata(
            status.code().into(),
            status.message(),
            status.details().clone(),
            metadata,
        )
    }
}
