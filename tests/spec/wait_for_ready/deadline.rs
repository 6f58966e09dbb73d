//! How a wait ends that is in vain.

use std::time::Duration;

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::channel::DialError;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{GiveUp, Resilience};
use peer::connector::failing_with;
use testing::Server;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};
use tower::{Layer, ServiceBuilder};
use transports::Transport;

use crate::support::{SECOND, Stack, client, every, has, hello, ms, ours, settle, sources};

fn layer() -> WaitForReadyLayer {
    WaitForReadyLayer::new().backoff(every(ms(300)))
}

async fn never_got_ready<T: Stack>(
    stack: T,
    request: tonic::Request<test_protos::EchoRequest>,
) -> Status {
    let start = Instant::now();
    let status = client(stack).unary(request).await.unwrap_err();
    assert_eq!(start.elapsed(), SECOND, "{status}");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    let said = "the deadline of 1s passed while waiting for the channel to become ready";
    assert!(status.message().starts_with(said), "{status}");
    let has_cause = match Transport::current() {
        Transport::Tonic => has::<tonic::ConnectError>(&status),
        Transport::Ours => has::<DialError>(&status),
    };
    assert!(has_cause, "{}", sources(&status));
    assert!(status.message().contains("connection refused"), "{status}");
    status
}

fn with_timeout() -> tonic::Request<test_protos::EchoRequest> {
    let mut request = hello();
    request.set_timeout(SECOND);
    request
}

// CONTRACT W2, R17; SEEDS.md 1 (A1)
#[transports::test(start_paused = true)]
async fn with_no_node_up_a_waiting_call_ends_at_its_deadline_and_says_it_never_got_ready() {
    let server = Server::in_memory_unstarted();
    let deadline = || DeadlineLayer::new().default_timeout(SECOND);
    let pair = ServiceBuilder::new().layer(deadline()).layer(layer());
    never_got_ready(pair.service(server.channel()), hello()).await;
    let above_retry = ServiceBuilder::new()
        .layer(deadline())
        .layer(layer())
        .layer(RetryLayer::new(RetryPolicy::new().max_attempts(1).unwrap()));
    never_got_ready(above_retry.service(server.channel()), hello()).await;
    let full = Resilience::new()
        .default_timeout(SECOND)
        .wait_for_ready(layer());
    let status = never_got_ready(full.wrap(server.channel()), hello()).await;
    assert_eq!(
        ours(&status).len(),
        2,
        "the expiry and the failed connect: {status:?}"
    );
}

// CONTRACT W2, R17; PEER-CASES GO-bad-certificates
#[tokio::test(start_paused = true)]
async fn a_handshake_that_fails_each_time_is_in_the_text_of_the_expiry() {
    let endpoint = tonic::transport::Endpoint::from_static("https://orders.test");
    let full = Resilience::new()
        .default_timeout(SECOND)
        .wait_for_ready(layer());
    let untrusted = "invalid peer certificate: UnknownIssuer";
    let stack = full.wrap(endpoint.connect_with_connector_lazy(failing_with(untrusted)));
    let start = Instant::now();
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains(untrusted), "{status}");
    assert!(has::<std::io::Error>(&status), "{}", sources(&status));
}

// CONTRACT W2, R2
// Over tonic alone: the layer ends the wait; over ours the channel does, and no layer gives up.
#[tokio::test(start_paused = true)]
async fn without_a_deadline_layer_the_caller_s_timeout_bounds_the_wait() {
    let server = Server::in_memory_unstarted();
    never_got_ready(layer().layer(server.channel()), with_timeout()).await;
    let retrying = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(layer());
    never_got_ready(retrying.service(server.channel()), with_timeout()).await;
}

// SEEDS.md 1 (A1)
#[transports::test(start_paused = true)]
async fn with_no_node_up_a_call_that_fails_fast_is_unavailable_at_once() {
    let server = Server::in_memory_unstarted();
    let full = Resilience::new()
        .default_timeout(SECOND)
        .retry(RetryPolicy::new().max_attempts(1).unwrap())
        .wait_for_ready(layer().fail_fast())
        .wrap(server.channel());
    let start = Instant::now();
    let status = client(full).unary(hello()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

// CONTRACT W2; SEEDS.md 1 (A1)
#[transports::test(start_paused = true)]
async fn a_dial_that_hangs_at_the_deadline_still_says_that_the_channel_never_got_ready() {
    let server = Server::in_memory_unstarted();
    let full = Resilience::new()
        .default_timeout(SECOND)
        .wait_for_ready(layer());
    let stack = full.wrap(server.channel());
    let mut hurried = hello();
    hurried.call_options().fail_fast().never_retry();
    let _ = client(stack.clone()).unary(hurried).await.unwrap_err();
    server.set_dial_time(100 * SECOND);
    sleep(ms(400)).await;
    let other = tokio::spawn({
        let stack = stack.clone();
        async move { never_got_ready(stack, hello()).await }
    });
    never_got_ready(stack, hello()).await;
    other.await.unwrap();
}

// CONTRACT D5
#[transports::test(start_paused = true)]
async fn once_the_server_has_the_request_an_expiry_no_longer_blames_the_channel() {
    let server = Server::in_memory_unstarted();
    server.script().otherwise(testing::Answer::hang());
    let full = Resilience::new()
        .default_timeout(SECOND)
        .wait_for_ready(layer());
    let stack = full.wrap(server.channel());
    let call = tokio::spawn(async move { client(stack).unary(hello()).await });
    settle().await;
    server.start().await;
    let status = call.await.unwrap().unwrap_err();
    let said = "the deadline of 1s passed while waiting for the answer to an attempt";
    assert!(status.message().starts_with(said), "{status}");
}
