//! No connection.

use std::future::poll_fn;

use grpc_resilience::BoxError;
use peer::{DeadPort, HangingPort};
use tonic::transport::Channel;
use tower::service_fn;
use tower_service::Service as _;

use super::super::support::{SHORT, endpoint, failed, failure, request};
use super::{CHANNEL_CLOSED, CONNECT_FAILED, UNRECOGNISED, verdict};
use peer::connector::{Broken, fails, hangs, nowhere};

pub(super) async fn refused() -> BoxError {
    let port = DeadPort::new();
    failure(&endpoint(port.uri()).connect_lazy()).await
}

pub(super) async fn timed_out() -> BoxError {
    let port = HangingPort::new().await;
    let endpoint = endpoint(port.uri()).connect_timeout(SHORT);
    failure(&endpoint.connect_lazy()).await
}

pub(super) async fn timed_out_with_a_connector_of_ones_own() -> BoxError {
    let endpoint = nowhere().connect_timeout(SHORT);
    failure(&endpoint.connect_with_connector_lazy(service_fn(hangs))).await
}

pub(super) async fn failed_in_a_connector_of_ones_own() -> BoxError {
    failure(&nowhere().connect_with_connector_lazy(service_fn(fails))).await
}

pub(super) async fn failed_in_a_connector_given_to_the_channel() -> BoxError {
    failure(&Channel::new(service_fn(fails), nowhere())).await
}

/// The first call still finds the channel ready; from then on readiness fails.
pub(super) async fn connector_not_ready(mut channel: Channel) -> [BoxError; 2] {
    poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let first = failed(channel.call(request()).await);
    [first, failure(&channel).await]
}

// FIELD 4, CONTRACT X1
#[tokio::test]
async fn a_refused_connect_was_not_sent() {
    assert_eq!(verdict(&refused().await), CONNECT_FAILED);
}

// FIELD 4
#[tokio::test]
async fn an_eager_connect_that_is_refused_was_not_sent() {
    let port = DeadPort::new();
    let error = endpoint(port.uri()).connect().await.unwrap_err();
    assert_eq!(verdict(&error.into()), CONNECT_FAILED);
}

// FIELD 4
#[tokio::test]
async fn the_built_in_connect_timeout_was_not_sent() {
    assert_eq!(verdict(&timed_out().await), CONNECT_FAILED);
}

// FIELD 4
#[tokio::test]
async fn a_connect_timeout_around_a_connector_of_ones_own_was_not_sent() {
    let error = timed_out_with_a_connector_of_ones_own().await;
    assert_eq!(verdict(&error), CONNECT_FAILED);
}

// FIELD 4
#[tokio::test]
async fn an_error_of_a_connector_of_ones_own_was_not_sent() {
    let error = failed_in_a_connector_of_ones_own().await;
    assert_eq!(verdict(&error), CONNECT_FAILED);
}

// FIELD 4: not sent, but nothing in the chain says so.
#[tokio::test]
async fn an_error_of_a_connector_given_to_the_channel_itself_is_not_recognised() {
    let error = failed_in_a_connector_given_to_the_channel().await;
    assert_eq!(verdict(&error), UNRECOGNISED);
}

// FIELD 4
#[tokio::test]
async fn a_connector_that_cannot_become_ready_closes_the_channel_before_anything_is_sent() {
    let own = nowhere().connect_with_connector_lazy(Broken);
    let given = Channel::new(Broken, nowhere());
    for channel in [own, given] {
        for error in connector_not_ready(channel).await {
            assert_eq!(verdict(&error), CHANNEL_CLOSED);
        }
    }
}
