//! No connection.

use std::future::poll_fn;

use peer::client::{SHORT, call, endpoint, request};
use peer::connector::{Broken, fails, hangs, nowhere};
use peer::{DeadPort, HangingPort};
use tonic::transport::Channel;
use tower::service_fn;
use tower_service::Service as _;

use crate::support::{chain, failure};

#[tokio::test]
async fn a_refused_connect_is_a_connect_error() {
    let port = DeadPort::new();
    let expected =
        r#"transport::Error > ConnectError > "tcp connect error" > io::Error(ConnectionRefused)"#;
    assert_eq!(
        failure(call(&endpoint(port.uri()).connect_lazy()).await),
        expected
    );

    let eager = endpoint(port.uri()).connect().await.unwrap_err();
    assert_eq!(chain::of(&eager), expected);
}

#[tokio::test]
async fn the_built_in_connect_timeout_is_a_connect_error() {
    let port = HangingPort::new().await;
    let channel = endpoint(port.uri()).connect_timeout(SHORT).connect_lazy();
    assert_eq!(
        failure(call(&channel).await),
        r#"transport::Error > ConnectError > "tcp connect error" > io::Error(TimedOut of "deadline has elapsed")"#
    );
}

#[tokio::test]
async fn a_connect_timeout_with_a_custom_connector_is_a_bare_io_error() {
    let channel = nowhere()
        .connect_timeout(SHORT)
        .connect_with_connector_lazy(service_fn(hangs));
    assert_eq!(
        failure(call(&channel).await),
        r#"transport::Error > io::Error(TimedOut of "deadline has elapsed")"#
    );
}

#[tokio::test]
async fn an_error_of_a_custom_connector_is_a_connect_error_with_and_without_a_timeout() {
    for endpoint in [nowhere(), nowhere().connect_timeout(SHORT)] {
        let channel = endpoint.connect_with_connector_lazy(service_fn(fails));
        assert_eq!(
            failure(call(&channel).await),
            "transport::Error > ConnectError > io::Error(AddrNotAvailable)"
        );
    }
}

#[tokio::test]
async fn an_error_of_a_connector_given_to_the_channel_itself_comes_bare() {
    let channel = Channel::new(service_fn(fails), nowhere());
    let expected = "transport::Error > io::Error(AddrNotAvailable)";
    assert_eq!(failure(call(&channel).await), expected);

    let boxed = service_fn(|uri| Box::pin(fails(uri)));
    let eager = Channel::connect(boxed, nowhere()).await.unwrap_err();
    assert_eq!(chain::of(&eager), expected);
}

#[tokio::test]
async fn a_connector_that_cannot_become_ready_ends_its_channel_for_ever() {
    let mut channel = nowhere().connect_with_connector_lazy(Broken);
    let expected =
        "transport::Error > buffer::ServiceError > ConnectError > io::Error(AddrNotAvailable)";
    // The first call still finds the channel ready, and fails itself.
    assert!(poll_fn(|cx| channel.poll_ready(cx)).await.is_ok());
    assert_eq!(failure(channel.call(request()).await), expected);
    // From then on readiness fails.
    for _ in 0..3 {
        let error = poll_fn(|cx| channel.poll_ready(cx)).await.unwrap_err();
        assert_eq!(chain::of(&error), expected);
    }
}

#[tokio::test]
async fn a_connector_given_to_the_channel_itself_that_cannot_become_ready_shows_no_connect_error() {
    let channel = Channel::new(Broken, nowhere());
    assert_eq!(
        failure(call(&channel).await),
        "transport::Error > buffer::ServiceError > io::Error(AddrNotAvailable)"
    );
}
