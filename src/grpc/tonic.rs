//! The adapter between this crate's codes and statuses and tonic's.

use super::{Code, Status};

impl From<&tonic::Status> for Status {
    fn from(status: &tonic::Status) -> Self {
        Self::new(Code::from(status.code()), status.message())
            .with_details(bytes::Bytes::copy_from_slice(status.details()))
            .with_metadata(status.metadata().clone().into_headers())
    }
}

/// Whether the status of a handler, which tonic leaves in the extensions of its answer, says that
/// the request had no effect.
#[cfg(feature = "server")]
pub(super) fn has_no_effect(extensions: &http::Extensions) -> bool {
    let status = extensions.get::<tonic::Status>();
    let source = status.and_then(std::error::Error::source);
    source.is_some_and(<dyn std::error::Error>::is::<super::NoEffect>)
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

impl From<tonic::Code> for Code {
    fn from(code: tonic::Code) -> Self {
        // tonic's codes are the numbers of the specification.
        u8::try_from(code as i32).map_or(Self::Unknown, Self::from_number)
    }
}

impl From<Code> for tonic::Code {
    fn from(code: Code) -> Self {
        Self::from_i32(i32::from(code as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_to_tonic_and_back() {
        for code in Code::ALL {
            assert_eq!(Code::from(tonic::Code::from(code)), code);
        }
    }
}
