use http::HeaderName;

use crate::error::BoxError;

/// Descriptors, or a table of methods, that nothing can be read from: said at construction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDescriptors {
    /// There are no bytes.
    #[error(
        "the descriptors are empty: give the bytes of a FileDescriptorSet, which tonic-prost-build \
         writes with file_descriptor_set_path, and protox with encode_to_vec"
    )]
    Empty,
    /// The bytes are no `FileDescriptorSet`.
    #[error(
        "the descriptors are no serialized FileDescriptorSet: give the bytes as \
         tonic-prost-build writes them with file_descriptor_set_path, or protox with encode_to_vec"
    )]
    Malformed(#[source] BoxError),
    /// They describe no method, and so would do nothing.
    #[error(
        "no method is described: compile the descriptors from the files that define your services"
    )]
    NoMethod,
    /// A service or a method has no name, or none that a path can hold.
    #[error(
        "{0:?} is no method: its service or method has no proper name; compile the descriptors \
         again from their proto files"
    )]
    Nameless(String),
    /// A method is described twice, and differently.
    #[error(
        "{0} is described twice, with different kinds or idempotency levels: compile all \
         descriptors from one version of its proto"
    )]
    Contradiction(String),
    /// An exception, made by `not_idempotent` before, is of no method that is described now: the
    /// method that it means would stay repeatable.
    #[error(
        "not_idempotent({0:?}) matches no method of its service, which these descriptors describe: check \
         how it is written"
    )]
    NoSuchException(String),
}

/// A header that can't carry an idempotency key: said at construction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKeyHeader {
    /// It is no name of a header.
    #[error("{0:?} is no name of a header: write one like idempotency-key")]
    NotAName(String),
    /// The name is taken.
    #[error("{0} belongs to gRPC or to HTTP: choose a name of your own, like idempotency-key")]
    Reserved(HeaderName),
    /// gRPC takes the value for base64.
    #[error("{0} ends in -bin, by which gRPC takes the value for base64: leave that out")]
    Binary(HeaderName),
}
