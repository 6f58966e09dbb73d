//! Calls that name their endpoint.

use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::Channel;
use grpc_resilience::classify::{Endpoint, Progress, Reason};
use grpc_resilience::grpc::Code;
use grpc_resilience::{RetryLayer, RetryPolicy};
use http::Request;
use tonic::body::Body;
use tonic::transport::Server;
use tower::{Layer as _, ServiceExt as _};

use crate::common::manner::Manner;
use crate::common::names::Names;
use crate::common::net::Net;
use crate::common::*;

const S: Duration = Duration::from_secs(1);

fn at(endpoint: &str) -> Request<Body> {
    let mut request = request();
    request.call_options().endpoint(format!("unix:{endpoint}"));
    request
}

fn patient_at(endpoint: &str) -> Request<Body> {
    let mut request = at(endpoint);
    request.call_options().wait_for_ready();
    request
}

/// A call that waits for this endpoint, beside the test; the endpoint that answered.
fn spawn_at(channel: &Channel, endpoint: &str) -> tokio::task::JoinHandle<String> {
    let (channel, request) = (channel.clone(), patient_at(endpoint));
    tokio::spawn(async move { called_with(&channel, request).await })
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_to_the_endpoint_that_it_names() {
    let net = Net::default();
    let _hosts = ["a", "b", "c"].map(|name| net.serve(name));
    let (_names, builder) = Names::new(&net, &["a", "b", "c"]);
    let channel = builder.build().unwrap();
    until_ready(&channel, 3).await;
    for name in ["a", "b", "c"].repeat(10) {
        assert_eq!(called_with(&channel, at(name)).await, name);
    }
    // The one that answered before.
    let answer = call(&channel).await.unwrap();
    let before = answer.extensions().get::<Endpoint>().unwrap().clone();
    let mut again = request();
    again.call_options().endpoint(&before);
    let name = called_with(&channel, again).await;
    assert_eq!(format!("unix:{name}"), before.name());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_the_target_does_not_have_is_an_error_that_says_so() {
    let net = Net::default();
    let _host = net.serve("a");
    let (names, builder) = Names::none(&net);
    let channel = builder.build().unwrap();
    // Before the first set nothing is unknown.
    let waits = spawn_at(&channel, "a");
    others_have_run().await;
    assert!(!waits.is_finished());
    names.set(&["a"]);
    assert_eq!(waits.await.unwrap(), "a");
    let error = send(&channel, patient_at("b")).await.unwrap_err();
    assert_eq!(error.progress(), Progress::NotSent);
    assert_eq!(error.verdict().code, Code::FailedPrecondition);
    assert_eq!(error.verdict().reason, Reason::InvalidCall);
    assert!(error.message().contains("`unix:b`"), "{error:?}");
}

// CONTRACT L1
#[tokio::test(start_paused = true)]
async fn a_named_endpoint_that_is_not_ready_is_waited_for_or_fails_with_its_error() {
    let net = Net::default();
    let _host = net.serve("a");
    let (_names, builder) = Names::new(&net, &["a", "b"]);
    let channel = builder.build().unwrap();
    until_ready(&channel, 1).await;
    tokio::time::sleep(S).await;
    let error = send(&channel, at("b")).await.unwrap_err();
    assert_eq!(error.verdict().code, Code::Unavailable);
    let text = error.message();
    assert!(
        text.contains("unix:b") && text.contains("refused"),
        "{text}"
    );
    let waits = spawn_at(&channel, "b");
    tokio::time::sleep(S).await;
    // It stands in no other call's way.
    called_times(&channel, 20).await;
    assert!(!waits.is_finished());
    let _b = net.serve("b");
    assert_eq!(waits.await.unwrap(), "b");
}

// CONTRACT C8
#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_slot_of_its_endpoint_holds_up_no_other() {
    let net = Net::default();
    let manner = Manner::taking(1_000);
    let one = || Server::builder().max_concurrent_streams(1);
    let _hosts = [net.serve_with("a", one()), net.serve_as("b", &manner)];
    let (_names, builder) = Names::new(&net, &["a", "b"]);
    let channel = builder.max_connections(1).build().unwrap();
    until_ready(&channel, 2).await;
    let mut stream = bidi(streaming().1);
    let (sender, body) = streaming();
    *stream.body_mut() = Body::new(body);
    stream.call_options().endpoint("unix:a");
    let open = send(&channel, stream).await.unwrap();
    let waiting = [spawn_at(&channel, "a"), spawn_at(&channel, "a")];
    until(|| channel.snapshot().waiting == 2).await;
    // Calls that end elsewhere free slots that these can't use.
    let others: Vec<_> = (0..20).map(|_| spawn(&channel)).collect();
    for other in others {
        assert_eq!(endpoint_of(&other.await.unwrap()), "b");
    }
    assert_eq!(channel.snapshot().waiting, 2);
    drop((open, sender));
    for call in waiting {
        assert_eq!(call.await.unwrap(), "a");
    }
}

// CONTRACT L2: not for picks by address
#[tokio::test(start_paused = true)]
async fn the_retries_of_a_call_stay_at_the_endpoint_that_it_names() {
    let net = Net::default();
    let fails = Manner::default().failing_one_in(1);
    let _hosts = [net.serve_as("a", &fails), net.serve("b")];
    let (_names, builder) = Names::new(&net, &["a", "b"]);
    let channel = builder.build().unwrap();
    until_ready(&channel, 2).await;
    let policy = RetryPolicy::new().max_attempts(3).unwrap();
    let layered = RetryLayer::new(policy).layer(channel);
    let mut request = at("a");
    request.call_options().idempotent();
    let error = layered.oneshot(request).await.unwrap_err();
    assert!(error.to_string().contains("after 3 attempts"), "{error}");
    assert_eq!(fails.calls(), 3);
}

// CONTRACT W1, C8: an idle endpoint
#[tokio::test(start_paused = true)]
async fn a_named_endpoint_that_is_idle_is_connected_for_the_call() {
    let net = Net::default();
    let _hosts = [net.serve("a"), net.serve("b")];
    let (_names, builder) = Names::new(&net, &["a", "b"]);
    let channel = builder.max_idle(10 * S).build().unwrap();
    until_ready(&channel, 2).await;
    tokio::time::sleep(20 * S).await;
    assert_eq!(net.open(), 0);
    assert_eq!(called_with(&channel, at("b")).await, "b");
}
