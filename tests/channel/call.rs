//! One call: its head on the wire, its deadline, and its failures.

use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::Channel;
use grpc_resilience::channel::pick::RoundRobin;
use grpc_resilience::classify::{Endpoint, Progress, Reason, TransportError};
use grpc_resilience::grpc::Code;
use http_body_util::Full;
use peer::{Connection, Peer, Reason as H2Reason, Step, Stream};
use test_protos::{EchoClient, EchoRequest};
use tower::Service as _;

use crate::common::net::Net;
use crate::common::*;

// CONTRACT C9, C12
#[tokio::test]
async fn the_head_has_the_channel_s_origin_and_no_header_of_a_connection() {
    let peer = Peer::start([]).await;
    let channel = connected(
        builder(&peer)
            .origin("http://orders.test".parse().unwrap())
            .user_agent("mine/1"),
    )
    .await;
    let mut request = request();
    let headers = request.headers_mut();
    headers.insert("connection", "close".parse().unwrap());
    headers.insert("content-length", "7".parse().unwrap());
    headers.insert("user-agent", "caller/2".parse().unwrap());
    assert_eq!(status(send(&channel, request).await).await, 0);
    let stream = &peer.streams_seen()[0];
    assert_eq!(stream.field(":authority"), Some("orders.test"));
    assert_eq!(stream.field(":scheme"), Some("http"));
    assert_eq!(stream.field(":path"), Some("/test.v1.Echo/Unary"));
    assert_eq!(stream.field("te"), Some("trailers"));
    assert_eq!(stream.field("connection"), None);
    assert_eq!(stream.field("content-length"), None);
    let agent = stream.field("user-agent").unwrap();
    assert!(
        agent.starts_with("caller/2 mine/1 grpc-resilience/"),
        "{agent}"
    );
    assert_eq!(stream.body, message(b"hi"));
    assert!(stream.complete);
}

// CONTRACT C12
#[tokio::test]
async fn a_request_s_extensions_end_when_it_is_called_and_no_answer_has_them() {
    let peer = Peer::start([Connection::new().streams([Stream::ok(b"")])]).await;
    let mut channel = channel(&peer).await;
    let held = Arc::new(());
    let mut request = request();
    request.extensions_mut().insert(Arc::clone(&held));
    let call = channel.call(request);
    assert_eq!(Arc::strong_count(&held), 1);
    let answer = call.await.unwrap();
    assert!(answer.extensions().get::<Arc<()>>().is_none());
    let endpoint = answer.extensions().get::<Endpoint>().unwrap();
    assert_eq!(format!("http://{endpoint}"), peer.uri());
}

async fn failure_with(steps: impl IntoIterator<Item = Step>) -> TransportError {
    let stream = Stream::from(steps);
    let peer = Peer::always(Connection::new().other_streams(stream)).await;
    call(&channel(&peer).await).await.unwrap_err()
}

// CONTRACT C16, C17, H3
#[tokio::test]
async fn failures_are_typed_by_what_happened_on_the_connection() {
    use Progress::{Reached, Refused};
    for (step, progress, reason, code) in [
        (
            Step::Reset(H2Reason::REFUSED_STREAM),
            Refused,
            Reason::StreamRefused,
            Code::Unavailable,
        ),
        (
            Step::Reset(H2Reason::CANCEL),
            Reached,
            Reason::StreamReset,
            Code::Cancelled,
        ),
        (
            Step::Abort,
            Reached,
            Reason::ConnectionLost,
            Code::Unavailable,
        ),
        (
            Step::Close,
            Reached,
            Reason::ConnectionLost,
            Code::Unavailable,
        ),
    ] {
        let name = format!("{step:?}");
        let error = failure_with([Step::AwaitRequest, step]).await;
        let verdict = error.verdict();
        assert_eq!(
            (verdict.progress, verdict.reason, verdict.code),
            (progress, reason, code),
            "{name}"
        );
        assert!(error.endpoint().unwrap().name().starts_with("127.0.0.1:"));
        assert_eq!(grpc_resilience::__internal::failure(&error), verdict);
    }
}

// CONTRACT C16
#[tokio::test]
async fn after_a_head_nothing_proves_that_a_request_was_not_processed() {
    use http_body_util::BodyExt as _;
    let stream = Stream::from([
        Step::AwaitRequest,
        Step::Headers(peer::Headers::response()),
        Step::Reset(H2Reason::REFUSED_STREAM),
    ]);
    let peer = Peer::always(Connection::new().other_streams(stream)).await;
    let answer = call(&channel(&peer).await).await.unwrap();
    let error = answer.into_body().collect().await.unwrap_err();
    assert_eq!(error.progress(), Progress::Reached);
}

#[tokio::test]
async fn a_generated_client_sees_the_code_and_the_whole_message() {
    let stream = Stream::from([Step::AwaitRequest, Step::Abort]);
    let peer = Peer::always(Connection::new().other_streams(stream)).await;
    let mut client = EchoClient::new(channel(&peer).await);
    let status = client.unary(EchoRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let text = status.message();
    assert!(text.starts_with("the connection to 127.0.0.1:"), "{text}");
    let error = TransportError::find(&status).unwrap();
    assert_eq!(error.progress(), Progress::Reached);
}

// CONTRACT R18
#[tokio::test]
async fn a_cancelled_answer_after_a_goaway_is_unavailable() {
    use peer::LastStream;
    let goes_away = [
        Step::AwaitRequest,
        Step::GoAway(LastStream::All, H2Reason::NO_ERROR),
        Step::Headers(peer::Headers::trailers_only(1)),
    ];
    let stays = Stream::status(1, "CANCELLED");
    for (stream, expected) in [(Stream::from(goes_away), 14), (stays, 1)] {
        let peer = Peer::start([Connection::new().streams([stream])]).await;
        let answer = call(&channel(&peer).await).await;
        assert_eq!(status(answer).await, expected);
    }
}

// CONTRACT D1
#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_the_wait_for_a_connection() {
    let net = Net::default();
    let channel = net.builder().build().unwrap();
    let mut patient = request();
    patient
        .call_options()
        .wait_for_ready()
        .timeout(Duration::from_secs(3));
    let start = tokio::time::Instant::now();
    let error = send(&channel, patient).await.unwrap_err();
    assert_eq!(start.elapsed().as_millis() / 10, 300);
    assert_eq!(error.verdict().code, Code::DeadlineExceeded);
    assert_eq!(error.progress(), Progress::NotSent);
    let text = error.message();
    assert!(
        text.contains("waiting for a connection") && text.contains("refused"),
        "{text}"
    );
    assert_eq!(channel.snapshot().waiting, 0);
}

// CONTRACT D1
#[tokio::test(start_paused = true)]
async fn the_deadline_in_grpc_timeout_bounds_the_call_on_a_frozen_peer() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder().no_keep_alive()).await;
    succeeds(&channel).await;
    net.freeze();
    let mut request = request();
    request
        .headers_mut()
        .insert("grpc-timeout", "2S".parse().unwrap());
    let start = tokio::time::Instant::now();
    let error = send(&channel, request).await.unwrap_err();
    assert_eq!(start.elapsed().as_millis() / 10, 200);
    assert_eq!(error.verdict().code, Code::DeadlineExceeded);
    assert_eq!(error.progress(), Progress::Reached);
    assert_eq!(error.endpoint().unwrap().name(), "unix:host");
}

// CONTRACT D1
#[tokio::test]
async fn a_call_that_waited_tells_the_server_what_is_left() {
    let script = Connection::new()
        .max_concurrent_streams(1)
        .streams([Stream::ok(b"").after(Step::Wait(300 * MS))]);
    let peer = Peer::start([script]).await;
    let channel = connected(builder(&peer).timeout(Duration::from_secs(10))).await;
    let first = spawn(&channel);
    peer.wait_for_streams(1).await;
    let second = spawn(&channel);
    assert_eq!(status(first.await.unwrap()).await, 0);
    assert_eq!(status(second.await.unwrap()).await, 0);
    let left = |stream: &peer::SeenStream| {
        let value = stream.field("grpc-timeout").unwrap();
        grpc_resilience::__internal::parse_timeout(value.as_bytes()).unwrap()
    };
    let seen = peer.streams_seen();
    assert!(left(&seen[0]) > Duration::from_millis(9_700));
    assert!(left(&seen[1]) <= Duration::from_millis(9_700), "{seen:?}");
}

// CONTRACT D1
#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_the_answer_to_its_end() {
    use http_body_util::BodyExt as _;
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder().timeout(Duration::from_secs(5))).await;
    let (_keeps, body) = streaming();
    let answer = send(&channel, bidi(body)).await.unwrap();
    let start = tokio::time::Instant::now();
    let error = answer.into_body().collect().await.unwrap_err();
    assert!(start.elapsed() <= Duration::from_secs(5));
    assert_eq!(error.verdict().code, Code::DeadlineExceeded);
    until(|| in_flight(&channel) == 0).await;
}

// CONTRACT C8
#[tokio::test(start_paused = true)]
async fn too_many_waiting_calls_fail() {
    let net = Net::default();
    let channel = net.builder().max_waiting(1).build().unwrap();
    let patient = || {
        let mut request = request();
        request.call_options().wait_for_ready();
        request
    };
    let first = tokio::spawn({
        let channel = channel.clone();
        async move { send(&channel, patient()).await }
    });
    until(|| channel.snapshot().waiting == 1).await;
    let error = send(&channel, patient()).await.unwrap_err();
    assert_eq!(error.verdict().code, Code::ResourceExhausted);
    assert_eq!(error.verdict().reason, Reason::QueueFull);
    let _host = net.serve("host");
    assert_eq!(status(first.await.unwrap()).await, 0);
}

// CONTRACT W7
#[tokio::test(start_paused = true)]
async fn the_requests_of_waiting_calls_hold_no_more_bytes_than_allowed() {
    let net = Net::default();
    let channel = net.builder().max_waiting_bytes(10_000).build().unwrap();
    let of = |size: usize| {
        let mut request = request_with(Full::new(message(&vec![7; size])));
        request.call_options().wait_for_ready();
        let channel = channel.clone();
        tokio::spawn(async move { send(&channel, request).await })
    };
    let first = of(8_000);
    until(|| channel.snapshot().waiting == 1).await;
    let bytes = channel.snapshot().waiting_bytes;
    assert!((8_005..8_500).contains(&bytes), "{bytes}");
    let error = of(2_000).await.unwrap().unwrap_err();
    assert_eq!(error.verdict().reason, Reason::QueueFull);
    assert!(error.message().contains("max_waiting_bytes"), "{error:?}");
    let second = of(1_000);
    until(|| channel.snapshot().waiting == 2).await;
    // Headers count.
    let headers = channel.snapshot().waiting_bytes - 8_005 - 1_005;
    assert!((2 * 30..1_000).contains(&headers), "{headers}");
    let _host = net.serve("host");
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    assert_eq!(channel.snapshot().waiting_bytes, 0);
}

// CONTRACT L1
#[tokio::test(start_paused = true)]
async fn calls_take_turns_over_ready_endpoints_and_skip_others() {
    let net = Net::default();
    let _hosts = [net.serve("127.0.0.1:1"), net.serve("127.0.0.1:3")];
    let target = "ipv4:127.0.0.1:1,127.0.0.1:2,127.0.0.1:3";
    let builder = Channel::builder(target).connector(net.clone());
    let channel = connected(builder.picker(RoundRobin::new())).await;
    until(|| connections(&channel) == 2).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let answer = call(&channel).await.unwrap();
        let endpoint = answer
            .extensions()
            .get::<grpc_resilience::classify::Endpoint>();
        seen.push(endpoint.unwrap().name().to_owned());
        assert_eq!(status(Ok(answer)).await, 0);
    }
    seen.sort();
    let (one, three) = ("127.0.0.1:1", "127.0.0.1:3");
    assert_eq!(seen, [one, one, three, three]);
}

// CONTRACT O2: an answer of the application
#[tokio::test]
async fn an_answer_in_a_head_alone_is_a_call_that_went_well() {
    let not_found = Stream::status(5, "no such order");
    let peer = Peer::start([Connection::new().streams([not_found])]).await;
    let channel = channel(&peer).await;
    let rate = || channel.snapshot().endpoints[0].failure_rate;
    assert_eq!(rate(), None);
    assert_eq!(status(call(&channel).await).await, 5);
    assert_eq!(rate(), Some(0.0));
}
