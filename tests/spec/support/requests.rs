//! Requests that tests send.

use grpc_resilience::call::CallOptionsExt;
use test_protos::EchoRequest;
use tonic::Request;

pub(crate) fn message(text: &str) -> EchoRequest {
    EchoRequest {
        text: text.to_owned(),
        ..EchoRequest::default()
    }
}

pub(crate) fn hello() -> Request<EchoRequest> {
    Request::new(message("hello"))
}

/// One that its caller declares idempotent.
pub(crate) fn declared_hello() -> Request<EchoRequest> {
    let mut request = hello();
    request.call_options().idempotent();
    request
}

/// A request that the server's log tells apart.
pub(crate) fn numbered(number: usize) -> Request<EchoRequest> {
    let mut request = hello();
    let id = number.to_string().parse().unwrap();
    request.metadata_mut().insert("x-call-id", id);
    request
}

/// A request of which nothing is declared.
pub(crate) fn undeclared() -> Request<EchoRequest> {
    Request::new(EchoRequest::default())
}

/// A request that its caller declares idempotent.
pub(crate) fn declared() -> Request<EchoRequest> {
    let mut request = undeclared();
    request.call_options().idempotent();
    request
}
