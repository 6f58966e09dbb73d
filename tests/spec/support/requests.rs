//! Requests that tests send.

use grpc_resilience::call::CallOptionsExt;
use test_protos::EchoRequest;
use testing::message;
use tonic::Request;

/// Values of `grpc-timeout` that say no timeout.
pub(crate) const MALFORMED_TIMEOUTS: [&str; 10] = [
    "",
    "5",
    "S",
    "5 S",
    "-1S",
    "+1S",
    "123456789m",
    "1s",
    "1.5S",
    "5SS",
];

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
