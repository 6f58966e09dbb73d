//! The layers of this crate over the channel.

use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::Channel;
use grpc_resilience::classify::{Endpoint, Progress, Reason};
use grpc_resilience::report::Phase;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{CallReport, Error, Resilience, Resilient, RetryLayer, RetryPolicy};
use http_body_util::BodyExt as _;
use peer::{Connection, LastStream, Peer, Reason as H2Reason, Step, Stream};
use test_protos::{EchoClient, EchoRequest};
use tokio::time::Instant;
use tonic::transport::Server;
use tower::{Layer as _, ServiceExt as _};

use crate::common::net::Net;
use crate::common::*;

const S: Duration = Duration::from_secs(1);

fn client<S>(service: S) -> EchoClient<S>
where
    S: tonic::client::GrpcService<tonic::body::Body>,
    S::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<grpc_resilience::BoxError> + Send,
{
    EchoClient::new(service)
}

// CONTRACT I4, I4a, X2
#[tokio::test]
async fn an_undeclared_client_stream_of_unknown_kind_goes_again_where_the_goaway_proves_it() {
    let script = Connection::new()
        .streams([Stream::ok(b""), Stream::stall()])
        .goaway_after(2, LastStream::Below, H2Reason::NO_ERROR);
    let peer = Peer::start([script]).await;
    let mut client = client(Resilience::new().wrap(channel(&peer).await));
    client.unary(EchoRequest::default()).await.unwrap();
    let requests = tokio_stream::iter([EchoRequest::default()]);
    client.client_stream(requests).await.unwrap();
    let seen = peer.streams_seen();
    assert_eq!(seen.len(), 3);
    assert!(peer.disowned(&seen[1]));
}

// CONTRACT I7: over a foreign channel it takes `trust_unprocessed` (`spec::unprocessed`)
#[tokio::test]
async fn a_server_that_vouches_for_a_request_without_effect_is_believed_without_a_setting() {
    let vouches = Stream::from([Step::AwaitRequest, Step::Vouch(14)]);
    let another = peer::Headers::trailers_only(14)
        .with("grpc-resilience-unprocessed", "/test.v1.Echo/ClientStream");
    let another = Stream::from([Step::AwaitRequest, Step::Headers(another)]);
    for (refused, streams) in [(vouches, 2), (another, 1)] {
        let peer = Peer::start([Connection::new().streams([refused])]).await;
        let mut client = client(Resilience::new().wrap(channel(&peer).await));
        let answer = client.unary(EchoRequest::default()).await;
        assert_eq!(answer.is_ok(), streams == 2, "{answer:?}");
        assert_eq!(peer.streams_seen().len(), streams);
    }
}

// CONTRACT I4
#[tokio::test]
async fn an_undeclared_call_that_may_have_run_does_not_go_again() {
    let stream = Stream::from([Step::AwaitRequest, Step::Abort]);
    let peer = Peer::start([Connection::new().streams([stream])]).await;
    let mut client = client(Resilience::new().wrap(channel(&peer).await));
    let status = client.unary(EchoRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let error = Error::find(&status).unwrap();
    assert_eq!(error.verdict().progress, Progress::Reached);
    let endpoint = error.endpoint().unwrap();
    assert_eq!(format!("http://{endpoint}"), peer.uri());
    assert!(status.message().contains(endpoint.name()), "{status}");
    assert_eq!(peer.streams_seen().len(), 1);
}

// CONTRACT I4, X2: the storm, in small
#[tokio::test]
async fn undeclared_calls_survive_a_server_that_ages_its_connections() {
    let net = Net::default();
    let server = Server::builder().max_connection_age(15 * MS);
    let _host = net.serve_with("host", server);
    let channel = Resilience::new().wrap(connected(net.builder()).await);
    let callers: Vec<_> = (0..32)
        .map(|number| {
            let mut client = client(channel.clone());
            tokio::spawn(async move {
                for _ in 0..200 {
                    let request = EchoRequest::default();
                    let ended = if number % 2 == 0 {
                        client.unary(request).await.map(|_| ())
                    } else {
                        client
                            .client_stream(tokio_stream::iter([request]))
                            .await
                            .map(|_| ())
                    };
                    ended.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(net.dials() > 2, "{} dials", net.dials());
}

// CONTRACT W1, W5: the layer stands idle, and the channel waits
#[tokio::test(start_paused = true)]
async fn wait_for_ready_leaves_the_wait_to_the_channel() {
    let net = Net::default();
    let bare = net.builder().build().unwrap();
    let layered = WaitForReadyLayer::new().layer(bare.clone());
    tokio::time::sleep(S).await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let layered = layered.clone();
            tokio::spawn(async move { layered.oneshot(request()).await })
        })
        .collect();
    until(|| bare.snapshot().waiting == 20).await;
    let alone = Net::default();
    let other = alone.builder().build().unwrap();
    tokio::time::sleep(20 * S).await;
    assert!(
        net.dials() <= alone.dials() + 5,
        "{} {}",
        net.dials(),
        alone.dials()
    );
    drop(other);
    let _host = net.serve("host");
    let start = Instant::now();
    for call in calls {
        let answer = call.await.unwrap().unwrap();
        let collected = answer.into_body().collect().await.unwrap();
        assert!(collected.trailers().is_some());
    }
    assert!(start.elapsed() <= 12 * S);
}

// CONTRACT W1
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_fast_fails_with_the_channel_s_error_and_others_still_wait() {
    let net = Net::default();
    let channel = net.builder().build().unwrap();
    let layered = Resilience::new()
        .default_timeout(60 * S)
        .wrap(channel.clone());
    tokio::time::sleep(S).await;
    let mut fast = tonic::Request::new(EchoRequest::default());
    fast.call_options().fail_fast().never_retry();
    let status = client(layered.clone()).unary(fast).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(
        Error::find(&status).unwrap().verdict().reason,
        Reason::ConnectFailed
    );
    assert!(status.message().contains("refused"), "{status}");
    let waits = tokio::spawn({
        let mut client = client(layered);
        async move { client.unary(EchoRequest::default()).await }
    });
    until(|| channel.snapshot().waiting == 1).await;
    let _host = net.serve("host");
    waits.await.unwrap().unwrap();
}

// CONTRACT W1, L1
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_fast_does_not_wait_behind_one_that_waits() {
    let net = Net::default();
    let channel = net.builder().build().unwrap();
    tokio::time::sleep(S).await;
    let mut patient = request();
    patient.call_options().wait_for_ready();
    let waits = tokio::spawn({
        let channel = channel.clone();
        async move { send(&channel, patient).await }
    });
    until(|| channel.snapshot().waiting == 1).await;
    let fast = tokio::time::timeout(S, call(&channel)).await.unwrap();
    assert_eq!(fast.unwrap_err().verdict().reason, Reason::ConnectFailed);
    let _host = net.serve("host");
    waits.await.unwrap().unwrap();
}

// CONTRACT W1, R17
#[tokio::test(start_paused = true)]
async fn a_waiting_call_ends_at_its_deadline_with_the_last_dial_error() {
    let net = Net::default();
    let channel = net.builder().build().unwrap();
    let layered = Resilience::new().default_timeout(5 * S).wrap(channel);
    let start = Instant::now();
    let status = client(layered)
        .unary(EchoRequest::default())
        .await
        .unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    assert!(status.message().contains("refused"), "{status}");
}

// CONTRACT D1: the layer's timer is the only one, and the channel says where the call was
#[tokio::test(start_paused = true)]
async fn a_call_under_a_deadline_layer_ends_at_its_deadline_at_an_endpoint() {
    for policy in [
        RetryPolicy::default(),
        // No ordinary call, so the layers have it one by one.
        RetryPolicy::never(),
    ] {
        let net = Net::default();
        let _host = net.serve("host");
        let channel = connected(net.builder().no_keep_alive()).await;
        let stack = Resilience::new().retry(policy).default_timeout(2 * S);
        let layered = stack.wrap(channel.clone());
        let mut client = client(layered.clone());
        client.unary(EchoRequest::default()).await.unwrap();
        let (_keeps, body) = streaming();
        let answer = layered.oneshot(bidi(body)).await.unwrap();
        net.freeze();
        let start = Instant::now();
        let status = client.unary(EchoRequest::default()).await.unwrap_err();
        assert_eq!(start.elapsed().as_millis() / 10, 200);
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        let error = Error::find(&status).unwrap();
        assert_eq!(error.endpoint().unwrap().name(), "unix:host");
        assert_eq!(error.verdict().progress, Progress::Reached);
        let error = answer.into_body().collect().await.unwrap_err();
        assert_eq!(error.verdict().reason, Reason::DeadlineExceeded);
        assert_eq!(error.endpoint().unwrap().name(), "unix:host");
        until(|| in_flight(&channel) == 0).await;
    }
}

// CONTRACT D1
#[tokio::test(start_paused = true)]
async fn a_timeout_of_the_channel_ends_a_call_before_the_layer_s_deadline() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder().timeout(S).no_keep_alive()).await;
    net.freeze();
    let layered = Resilience::new().default_timeout(30 * S).wrap(channel);
    let start = Instant::now();
    let call = client(layered).unary(EchoRequest::default()).await;
    assert_eq!(start.elapsed().as_millis() / 10, 100);
    assert_eq!(call.unwrap_err().code(), tonic::Code::DeadlineExceeded);
}

fn over(channel: Channel) -> EchoClient<Resilient<Channel>> {
    EchoClient::new(Resilience::new().wrap(channel))
}

// CONTRACT C8, X1: a limit of 10 streams with 64 callers
#[tokio::test]
async fn a_limit_of_ten_streams_fails_no_call_of_64_callers() {
    let net = Net::default();
    let _host = net.serve_with("host", Server::builder().max_concurrent_streams(10));
    let channel = connected(net.builder().max_connections(1)).await;
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let mut client = over(channel.clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    client.unary(EchoRequest::default()).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!((net.dials(), in_flight(&channel)), (1, 0));
}

// CONTRACT L2
#[tokio::test]
async fn a_retry_avoids_the_endpoint_where_an_attempt_arrived_and_failed() {
    let bad = Peer::always(Connection::new().other_streams(Stream::status(14, "no"))).await;
    let worse = Connection::new().other_streams(Stream::from([Step::AwaitRequest, Step::Abort]));
    let worse = Peer::always(worse).await;
    let good = Peer::start([]).await;
    let address = |peer: &Peer| peer.uri().replace("http://", "");
    let target = format!(
        "ipv4:{},{},{}",
        address(&bad),
        address(&worse),
        address(&good)
    );
    let channel = connected(Channel::builder(target)).await;
    let policy = RetryPolicy::new().max_attempts(3).unwrap();
    let layered = RetryLayer::new(policy).layer(channel.clone());
    for _ in 0..12 {
        until(|| connections(&channel) == 3).await;
        let mut request = request();
        request.call_options().idempotent();
        let answer = layered.clone().oneshot(request).await.unwrap();
        let endpoint = answer.extensions().get::<Endpoint>().unwrap();
        assert_eq!(format!("http://{endpoint}"), good.uri());
        assert!(answer.into_body().collect().await.is_ok());
    }
    let (bad, worse) = (bad.streams_seen().len(), worse.streams_seen().len());
    assert!(bad > 0 && worse > 0 && bad + worse <= 24, "{bad} {worse}");
}

// CONTRACT L2, C17: the report and the events name the endpoint of each attempt
#[tokio::test]
async fn a_retry_avoids_one_of_two_endpoints_and_names_both() {
    let bad = Peer::always(Connection::new().other_streams(Stream::status(14, "no"))).await;
    let good = Peer::start([]).await;
    let address = |peer: &Peer| peer.uri().replace("http://", "");
    let target = format!("ipv4:{},{}", address(&bad), address(&good));
    let channel = connected(Channel::builder(target)).await;
    let layered = RetryLayer::new(RetryPolicy::new()).layer(channel.clone());
    let mut retried = 0;
    for _ in 0..8 {
        until(|| connections(&channel) == 2).await;
        let heard = crate::common::log::Ear::new();
        let mut request = request();
        request.call_options().idempotent();
        let answer = layered.clone().oneshot(request).await.unwrap();
        let endpoint = answer.extensions().get::<Endpoint>().unwrap();
        assert_eq!(endpoint.name(), address(&good));
        let Some(report) = answer.extensions().get::<CallReport>().cloned() else {
            continue;
        };
        retried += 1;
        let failed = report.failed_attempts();
        assert_eq!(failed.len(), 1, "it went to the other one at once");
        let name = failed[0].endpoint.as_ref().map(Endpoint::name);
        assert_eq!(name, Some(&*address(&bad)));
        let named = format!("attempt 1 at {}: UNAVAILABLE", address(&bad));
        assert!(report.to_string().contains(&named), "{report}");
        let line = heard.text();
        let line = line
            .lines()
            .find(|line| line.contains("is retried"))
            .unwrap();
        assert!(
            line.contains(&format!("endpoint=\"{}\"", address(&bad))),
            "{line}"
        );
        assert!(answer.into_body().collect().await.is_ok());
    }
    assert!(retried > 0);
    assert_eq!(bad.streams_seen().len(), retried);
}

// CONTRACT C17
#[tokio::test]
async fn a_call_that_fails_for_good_names_the_endpoint_of_its_last_attempt() {
    let bad = Peer::always(Connection::new().other_streams(Stream::status(14, "no"))).await;
    let address = bad.uri().replace("http://", "");
    let channel = channel(&bad).await;
    let heard = crate::common::log::Ear::new();
    let mut client = client(Resilience::new().wrap(channel));
    let mut request = tonic::Request::new(EchoRequest::default());
    request.call_options().idempotent().max_attempts(2);
    let status = client.unary(request).await.unwrap_err();
    let report = Error::find(&status).unwrap().report().unwrap().clone();
    let failed = report.failed_attempts();
    let names: Vec<_> = failed
        .iter()
        .map(|it| it.endpoint.as_ref().map(Endpoint::name))
        .collect();
    assert_eq!(names, [Some(&*address), Some(&*address)]);
    let text = heard.text();
    let line = text
        .lines()
        .find(|line| line.contains("the call failed"))
        .unwrap();
    assert!(line.contains(&format!("endpoint=\"{address}\"")), "{line}");
}

// On the fast path, and where a report was taken before.
#[tokio::test(start_paused = true)]
async fn the_report_of_a_success_says_how_long_the_channel_was_not_ready() {
    for is_asked in [false, true] {
        let net = Net::default();
        net.refuse("host");
        let stack = Resilience::new().wrap(net.builder().build().unwrap());
        let mut request = patient();
        let taken = is_asked.then(|| request.call_report());
        let start = Instant::now();
        let call = tokio::spawn(stack.oneshot(request));
        tokio::time::sleep(150 * MS).await;
        if let Some(report) = taken {
            assert_eq!(report.phase(), Phase::NotReady);
        }
        let _host = net.serve("host");
        let answer = call.await.unwrap().unwrap();
        let waited = start.elapsed();
        let report = answer.extensions().get::<CallReport>().unwrap();
        assert_eq!((report.attempts(), report.waits()), (1, 1), "{report}");
        let not_ready = report.time_in(Phase::NotReady);
        assert!(not_ready >= 150 * MS, "{report}");
        assert!(not_ready + 20 * MS > waited, "{report}");
        assert!(report.time_in(Phase::Attempt) < 20 * MS, "{report}");
    }
}

// It is part of the attempt, as over channels that hide it.
#[tokio::test]
async fn a_success_that_waited_for_a_stream_of_a_ready_connection_has_no_report() {
    let net = Net::default();
    let server = tonic::transport::Server::builder().max_concurrent_streams(1);
    let _host = net.serve_with("host", server);
    let channel = connected(net.builder().max_connections(1)).await;
    let stack = Resilience::new().wrap(channel.clone());
    let calls: Vec<_> = (0..10)
        .map(|_| tokio::spawn(stack.clone().oneshot(request())))
        .collect();
    let mut has_waited = false;
    until(|| {
        has_waited |= channel.snapshot().waiting > 0;
        has_waited || calls.iter().all(tokio::task::JoinHandle::is_finished)
    })
    .await;
    assert!(has_waited);
    for call in calls {
        let answer = call.await.unwrap().unwrap();
        assert!(answer.extensions().get::<CallReport>().is_none());
        answer.into_body().collect().await.unwrap();
    }
}
