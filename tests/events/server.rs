//! Calls that a server's layers refuse or stop.

use grpc_resilience::rate_limit::{Quota, ServerRateLimitLayer};
use grpc_resilience::server_deadline::ServerDeadlineLayer;
use http::Request;
use testing::{method, ms};
use tower::{Layer, Service, service_fn};
use tracing::Level;

use crate::support::Ear;

fn request(timeout: &str) -> Request<()> {
    let request = Request::post(method::UNARY).header("grpc-timeout", timeout);
    request.body(()).unwrap()
}

async fn hangs(_: Request<()>) -> Result<http::Response<String>, std::convert::Infallible> {
    std::future::pending().await
}

async fn answers(_: Request<()>) -> Result<http::Response<String>, std::convert::Infallible> {
    Ok(http::Response::new(String::new()))
}

// CONTRACT V1
#[tokio::test(start_paused = true)]
async fn a_call_over_its_quota_is_one_line() {
    let ear = Ear::new();
    let limit = ServerRateLimitLayer::new(Quota::per_second(1).unwrap());
    let mut server = limit.layer(service_fn(answers));
    server.call(request("9S")).await.unwrap();
    assert_eq!(ear.take(), [], "an admitted call says nothing");
    server.call(request("9S")).await.unwrap();
    let heard = ear.take();
    assert_eq!(heard.len(), 1, "{heard:#?}");
    assert_eq!(heard[0].level, Level::DEBUG);
    assert!(heard[0].text().contains("over its quota"));
    assert_eq!(heard[0].of(["method", "after"]), [method::UNARY, "1s"]);
}

// CONTRACT V1
#[tokio::test(start_paused = true)]
async fn a_handler_that_is_stopped_and_a_call_that_comes_late_are_one_line_each() {
    let ear = Ear::new();
    let layer = ServerDeadlineLayer::new();
    layer
        .layer(service_fn(answers))
        .call(request("1S"))
        .await
        .unwrap();
    assert_eq!(ear.take(), [], "a handler that is in time says nothing");
    for (timeout, text) in [
        ("1S", "stopped a handler"),
        ("0S", "came after its caller's deadline"),
    ] {
        let mut server = layer.layer(service_fn(hangs));
        server.call(request(timeout)).await.unwrap();
        let heard = ear.take();
        assert_eq!(heard.len(), 1, "{heard:#?}");
        assert_eq!(heard[0].level, Level::DEBUG);
        assert!(heard[0].text().contains(text), "{heard:#?}");
        assert_eq!(heard[0].get("method"), method::UNARY);
    }
    let short = layer
        .layer(service_fn(hangs))
        .call(request("5m"))
        .await
        .unwrap();
    drop(short);
    assert_eq!(ear.take()[0].get("timeout"), format!("{:?}", ms(5)));
}
