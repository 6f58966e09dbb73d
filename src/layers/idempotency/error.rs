use http::HeaderName;

use crate::error::BoxError;

/// Returned for invalid descriptors or an invalid table of methods.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDescriptors {
    /// The input has no bytes.
    #[error(
        "the descriptors are empty: give the bytes of a FileDescriptorSet, which tonic-prost-build \
         writes with file_descriptor_set_path, and protox with encode_to_vec"
    )]
    Empty,
    /// The bytes are not a serialized `FileDescriptorSet`.
    #[error(
        "the descriptors are not a serialized FileDescriptorSet: give the bytes that \
          tonic-prost-build writes with file_descriptor_set_path, or protox with encode_to_vec"
    )]
    Malformed(#[source] BoxError),
    /// The descriptors or the table contain no method, so the layer would have no effect.
    #[error(
        "the descriptors contain no method: compile them from the proto files that define your \
         services"
    )]
    NoMethod,
    /// The service name or the method name is empty or cannot be part of a path.
    #[error(
        "{0:?} is not a method path: the service name or the method name is invalid; compile the \
         descriptors again from their proto files"
    )]
    Nameless(String),
    /// A method is described twice, with a different kind or idempotency level.
    #[error(
        "{0} is described twice, with different kinds or idempotency levels: compile all \
         descriptors from one version of its proto"
    )]
    Contradiction(String),
    /// A pattern of an earlier `not_idempotent` matches no method of its service, although the
    /// service is now described. The intended method would stay repeatable.
    #[error(
        "not_idempotent({0:?}) matches no method, although the descriptors contain its service: \
         check the spelling"
    )]
    NoSuchException(String),
}

/// Returned for a header that cannot carry an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKeyHeader {
    /// The text is not a valid header name.
    #[error("{0:?} is not a valid header name: use one like idempotency-key")]
    NotAName(String),
    /// gRPC or HTTP reserves the name.
    #[error("{0} is reserved by gRPC or HTTP: use a name of your own, like idempotency-key")]
    Reserved(HeaderName),
    /// The name ends in `-bin`, so gRPC decodes its value as base64.
    #[error("{0} ends in -bin, so gRPC decodes its value as base64: remove the suffix")]
    Binary(HeaderName),
}
