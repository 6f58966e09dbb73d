//! A call that a server is serving, for which others are made.

use std::convert::Infallible;

use grpc_resilience::call::ParentCall;
use grpc_resilience::server_deadline::{ServerDeadlineBody, ServerDeadlineLayer};
use tower::Service;

/// Keeps a call served until it is dropped.
pub(crate) type Open = http::Response<ServerDeadlineBody<()>>;

/// A served call, with so much time if its caller says so.
pub(crate) async fn serving(timeout: Option<&str>) -> (ParentCall, Open) {
    let handler = tower::service_fn(|request: http::Request<()>| async move {
        let mut response = http::Response::new(());
        *response.extensions_mut() = request.extensions().clone();
        Ok::<_, Infallible>(response)
    });
    let mut request = http::Request::new(());
    if let Some(timeout) = timeout {
        let timeout = timeout.parse().unwrap();
        request.headers_mut().insert("grpc-timeout", timeout);
    }
    let mut layered = tower::Layer::layer(&ServerDeadlineLayer::new(), handler);
    let response = Service::call(&mut layered, request).await.unwrap();
    let served = response.extensions().get::<ParentCall>().unwrap().clone();
    (served, response)
}
