//! Requests that tests send.

use grpc_resilience::call::CallOptionsExt as _;
use test_protos::EchoRequest;
use tonic::Request;

/// A message with this text.
#[must_use]
pub fn message(text: &str) -> EchoRequest {
    EchoRequest {
        text: text.to_owned(),
        ..EchoRequest::default()
    }
}

/// An undeclared request.
#[must_use]
pub fn undeclared() -> Request<EchoRequest> {
    Request::new(EchoRequest::default())
}

/// A request that its caller declares idempotent.
#[must_use]
pub fn declared() -> Request<EchoRequest> {
    let mut request = undeclared();
    request.call_options().idempotent();
    request
}
