//! The names of the headers and trailers that this crate reads or writes.

use http::HeaderName;

/// `grpc-status`: the code of the call, in ASCII decimal.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// `grpc-message`: the percent-encoded message of the status.
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// `grpc-status-details-bin`: a base64 `google.rpc.Status`.
pub const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// `grpc-timeout`: how long the caller still waits.
pub const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// `grpc-previous-rpc-attempts`: how many attempts came before this one (gRFC A6).
pub const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");
/// `grpc-retry-pushback-ms`: the server's word on when to retry (gRFC A6).
pub const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
