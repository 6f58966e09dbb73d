//! The timeout of attempts over the channel.

use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::attempt_timeout::{AttemptTimeout, AttemptTimeoutLayer};
use grpc_resilience::channel::Channel;
use grpc_resilience::retry::Retry;
use grpc_resilience::{
    BoxError, CallOptionsExt as _, CallReport, DeadlineLayer, Error, Resilience, RetryLayer,
    RetryPolicy,
};
use http_body::Body as HttpBody;
use test_protos::{EchoClient, EchoRequest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::{Code, Request, Status};
use tower::{Layer as _, ServiceBuilder};

use crate::common::manner::Manner;
use crate::common::names::Names;
use crate::common::net::{Host, Net};
use crate::common::{MS, connected, message, until_ready};

const S: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_millis(300);
/// With one failure for each `LIMIT` of the wait they would use up any budget.
const CALLS: usize = 60;

fn stack() -> Resilience {
    Resilience::new()
        .default_timeout(20 * S)
        .attempt_timeout(AttemptTimeoutLayer::new(LIMIT).unwrap())
        .retry(RetryPolicy::new().max_attempts(2).unwrap())
        .idempotent("/test.v1.Echo/*")
        .unwrap()
}

// CONTRACT W2: the stack's order
#[tokio::test(start_paused = true)]
async fn waiting_for_a_connection_is_no_attempt_and_takes_no_budget() {
    let net = Net::default();
    let client = EchoClient::new(stack().wrap(net.builder().build().unwrap()));
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let mut client = client.clone();
        calls.spawn(async move {
            let mut request = Request::new(EchoRequest::default());
            let report: CallReport = request.call_report();
            (client.unary(request).await, report)
        });
    }
    sleep(5 * S + 100 * MS).await;
    let _host = net.serve("host");
    for (answer, report) in calls.join_all().await {
        answer.unwrap();
        assert_eq!(report.attempts(), 1, "{report}");
    }
}

// CONTRACT W2, D12: the attempt is bounded once it has a connection
#[tokio::test(start_paused = true)]
async fn an_attempt_that_waited_for_a_connection_still_has_a_timeout() {
    let net = Net::default();
    let mut client = EchoClient::new(stack().wrap(net.builder().build().unwrap()));
    let call = tokio::spawn(async move { client.unary(EchoRequest::default()).await });
    sleep(4 * LIMIT).await;
    let silent = Manner::taking(60_000);
    let _host = net.serve_as("host", &silent);
    while silent.calls() == 0 {
        sleep(MS).await;
    }
    let sent = Instant::now();
    while silent.calls() == 1 {
        sleep(MS).await;
    }
    assert!(sent.elapsed() >= LIMIT, "after {:?}", sent.elapsed());
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    // The last attempt has what is left of the call.
    assert_eq!(CallReport::find(&status).unwrap().attempts(), 2);
    assert_eq!(silent.calls(), 2);
}

// CONTRACT W2, D5
#[tokio::test(start_paused = true)]
async fn a_call_that_only_waits_ends_at_its_deadline() {
    let net = Net::default();
    let mut client = EchoClient::new(stack().wrap(net.builder().build().unwrap()));
    let start = Instant::now();
    let status = client.unary(EchoRequest::default()).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 20);
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(status.message().contains("refused"), "{status}");
    assert_eq!(CallReport::find(&status).unwrap().attempts(), 1);
}

// CONTRACT W2: a call that names its endpoint waits for that one
#[tokio::test(start_paused = true)]
async fn waiting_for_the_endpoint_that_a_call_names_is_no_attempt_though_another_is_ready() {
    let net = Net::default();
    let _a = net.serve("a");
    let (names, builder) = Names::new(&net, &["a", "b"]);
    let channel = builder.build().unwrap();
    until_ready(&channel, 1).await;
    let client = EchoClient::new(stack().wrap(channel));
    let begin = || {
        let mut client = client.clone();
        let mut request = Request::new(EchoRequest::default());
        request.call_options().endpoint("unix:b").wait_for_ready();
        let report = request.call_report();
        tokio::spawn(async move { (client.unary(request).await, report) })
    };
    let (start, in_vain) = (Instant::now(), begin());
    sleep(19_900 * MS).await;
    // The last dial that fails is of another endpoint, which the call does not wait for.
    names.set(&["a", "b", "c"]);
    let (answer, report) = in_vain.await.unwrap();
    let status = answer.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 20);
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    let message = status.message();
    assert!(message.contains("refused"), "{status}");
    assert!(message.contains("unix:b"), "{status}");
    assert_eq!(report.attempts(), 1, "{report}");
    let served = begin();
    sleep(5 * S + 100 * MS).await;
    let _b = net.serve("b");
    let (answer, report) = served.await.unwrap();
    answer.unwrap();
    assert_eq!(report.attempts(), 1, "{report}");
}

/// How far a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    None,
    Head,
    /// And two messages.
    Messages,
}

/// A server that ends no answer, whatever it was told of the time, and begins one when it has two
/// parts of the request.
fn endless(net: &Net, answer: Answer) -> Host {
    let mut accepted = net.accept("host");
    net.host("host", async move {
        while let Some(io) = accepted.recv().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(io).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(begin(request.into_body(), respond, answer));
                }
            });
        }
    })
}

async fn begin(
    mut request: h2::RecvStream,
    mut respond: h2::server::SendResponse<Bytes>,
    answer: Answer,
) {
    let mut read = 0;
    while read < 2 * PART || answer == Answer::None {
        match request.data().await {
            Some(Ok(data)) => read += data.len(),
            // The call is over.
            _ => return,
        }
    }
    let head = http::Response::builder().header("content-type", "application/grpc");
    let mut stream = respond
        .send_response(head.body(()).unwrap(), false)
        .unwrap();
    let messages = if answer == Answer::Messages { 2 } else { 0 };
    for _ in 0..messages {
        stream.send_data(message(b""), false).unwrap();
    }
    std::future::poll_fn(|cx| stream.poll_reset(cx)).await.ok();
}

/// The bytes of a part of a request.
const PART: usize = 900;

/// A part of a request: 1,000 bytes hold one part, and not two.
fn part() -> EchoRequest {
    EchoRequest {
        text: "x".repeat(PART),
        ..EchoRequest::default()
    }
}

/// The end of a call whose request outgrows what is kept for a retry during its first attempt, and
/// how long it took.
async fn outgrows<S>(stack: S, timeout: Option<Duration>) -> (Status, Duration)
where
    S: GrpcService<
            Body,
            Error: Into<BoxError>,
            ResponseBody: HttpBody<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
        >,
{
    let (sender, receiver) = mpsc::unbounded_channel();
    sender.send(part()).unwrap();
    let mut request = Request::new(UnboundedReceiverStream::new(receiver));
    request.call_options().idempotent();
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    let more = async {
        sleep(LIMIT / 2).await;
        sender.send(part()).unwrap();
        std::future::pending::<()>().await;
    };
    let start = Instant::now();
    let mut client = EchoClient::new(stack);
    let status = tokio::select! {
        answer = client.client_stream(request) => answer.unwrap_err(),
        () = more => unreachable!(),
    };
    (status, start.elapsed())
}

fn repeated_at_most(bytes: usize, channel: Channel) -> Retry<AttemptTimeout<Channel>> {
    ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new().max_attempts(2).unwrap()).replay_limit(bytes))
        .layer(AttemptTimeoutLayer::new(LIMIT).unwrap())
        .service(channel)
}

// CONTRACT D12, R6, C17
#[tokio::test(start_paused = true)]
async fn an_attempt_whose_request_outgrows_what_is_kept_goes_on_to_the_end_of_the_call() {
    for answer in [Answer::None, Answer::Head] {
        let net = Net::default();
        let _host = endless(&net, answer);
        let channel = connected(net.builder()).await;
        let retried = repeated_at_most(1_000, channel);
        let timed = DeadlineLayer::new()
            .default_timeout(S)
            .layer(retried.clone());
        let bounded = connected(net.builder().timeout(S)).await;
        let bounded = repeated_at_most(1_000, bounded);
        for (name, (status, took)) in [
            ("a deadline layer", outgrows(timed, None).await),
            ("the caller's header", outgrows(retried, Some(S)).await),
            ("the channel", outgrows(bounded, Some(10 * S)).await),
        ] {
            let case = format!("{name}, {answer:?}: {status}");
            assert_eq!(took.as_millis(), 1_000, "{case}");
            assert_eq!(status.code(), Code::DeadlineExceeded, "{case}");
            assert!(!status.message().contains("attempt's timeout"), "{case}");
            let error = Error::find(&status).unwrap();
            assert_eq!(error.endpoint().unwrap().name(), "unix:host", "{case}");
            assert_eq!(CallReport::find(&status).unwrap().attempts(), 1, "{case}");
        }
    }
}

// CONTRACT D12: a body that is always ready lets no timer run
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_late_goes_on_beyond_the_end_that_its_attempt_had() {
    for (bytes, goes_on) in [(1_000, true), (100_000, false)] {
        let net = Net::default();
        let _host = endless(&net, Answer::Messages);
        let stack = repeated_at_most(bytes, connected(net.builder()).await);
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(part()).unwrap();
        let mut request = Request::new(UnboundedReceiverStream::new(receiver));
        request.call_options().idempotent();
        request.set_timeout(S);
        let sends = tokio::spawn(async move {
            sleep(LIMIT / 2).await;
            sender.send(part()).unwrap();
            sender
        });
        let start = Instant::now();
        let answer = EchoClient::new(stack).bidi_stream(request).await.unwrap();
        let mut answer = answer.into_inner();
        assert!(answer.message().await.unwrap().is_some());
        let _sender = sends.await.unwrap();
        sleep(2 * LIMIT).await;
        let second = answer.message().await;
        assert_eq!(second.is_ok(), goes_on, "{second:?}");
        if goes_on {
            let status = answer.message().await.unwrap_err();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
            assert_eq!(start.elapsed().as_millis(), 1_000, "{status}");
        }
    }
}

// CONTRACT D12: the same call with room to be kept
#[tokio::test(start_paused = true)]
async fn an_attempt_whose_request_is_kept_ends_at_its_timeout() {
    let net = Net::default();
    let _host = endless(&net, Answer::None);
    let stack = repeated_at_most(100_000, connected(net.builder()).await);
    let (status, took) = outgrows(stack, Some(S)).await;
    assert_eq!(CallReport::find(&status).unwrap().attempts(), 2, "{status}");
    assert_eq!(took.as_millis(), 1_000, "{status}");
}
