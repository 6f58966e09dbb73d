//! How a live stream ends early: by its caller, or by itself. CONTRACT R13, B5.

use std::sync::Arc;

use bytes::Bytes;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::{BudgetLayer, GiveUp, RetryLayer, TokenBucket};
use http_body::Frame;
use http_body_util::StreamBody;
use test_protos::{EchoClient, EchoRequest, EchoResponse};
use testing::{Answer, Outcome, Server, method};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::body::Body;
use tonic::{Code, Response, Status};
use tower::{ServiceBuilder, ServiceExt as _};

use super::{arrived, live, text, texts};
use crate::support::{Stack, every, ms, policy, retrying, sources, unavailable};

// PEER-CASES JAVA-cancel-while-backoff; CONTRACT R13
#[transports::test(start_paused = true)]
async fn a_live_stream_dropped_during_backoff_is_closed_and_nothing_is_sent_afterwards() {
    let server = Server::in_memory();
    let answer = unavailable("down").reading_messages(1);
    server.script().otherwise(answer);
    let mut client = retrying(&server, policy().backoff(every(ms(1_000))));
    let (sender, request) = live(1);
    sender.send(text("1")).await.unwrap();
    let call = tokio::spawn(async move { client.bidi_stream(request).await });
    sleep(ms(500)).await;
    // In the wait the caller's stream is open, and nobody reads it.
    sender.send(text("2")).await.unwrap();
    assert!(!sender.is_closed() && !call.is_finished());
    call.abort();
    let closed = timeout(ms(10), sender.closed()).await;
    closed.expect("the stream goes with its call");
    sleep(ms(60_000)).await;
    let calls = server.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(texts(&calls[0]), ["1"]);
}

/// The code, what the server saw, and whether the caller's stream is closed.
type Seen = (Code, Vec<(Outcome, Vec<String>, bool)>, bool);

/// What is seen of a call that fails, a minute after its end.
async fn seen(
    server: &Server,
    call: JoinHandle<Result<Response<EchoResponse>, Status>>,
    sender: &mpsc::Sender<EchoRequest>,
) -> (Seen, Status) {
    let ended = timeout(ms(1_000), call).await.expect("the call ends");
    let status = ended.unwrap().unwrap_err();
    sleep(ms(60_000)).await;
    let calls = server.calls();
    let calls = calls
        .iter()
        .map(|it| (it.outcome, texts(it), it.request_ended));
    let seen = (status.code(), calls.collect(), sender.is_closed());
    (seen, status)
}

/// Cancels by tonic's handle a call of which one message has arrived.
async fn cancelled<T: Stack>(server: &Server, mut client: EchoClient<T>) -> (Seen, Option<GiveUp>) {
    server.clear();
    let hanging = Answer::hang().reading_messages(1);
    server.script().on(method::CLIENT_STREAM, [hanging]);
    let (sender, mut request) = live(1);
    let handle = request.cancellation_handle();
    let call = tokio::spawn(async move { client.client_stream(request).await });
    sender.send(text("1")).await.unwrap();
    arrived(server, 0, 1).await;
    handle.cancel();
    let (seen, status) = seen(server, call, &sender).await;
    (seen, GiveUp::find(&status))
}

// CONTRACT R13, B5
#[transports::test(start_paused = true)]
async fn tonic_s_cancellation_handle_ends_the_attempt_as_without_the_layer() {
    let server = Server::in_memory();
    let (plain, _) = cancelled(&server, EchoClient::new(server.channel())).await;
    let (layered, reason) = cancelled(&server, retrying(&server, policy())).await;
    assert_eq!(layered, plain);
    assert_eq!(reason, Some(GiveUp::RequestFailed));
    assert_eq!(
        layered.1,
        [(Outcome::Cancelled, vec!["1".to_owned()], false)]
    );
}

// CONTRACT R13
#[transports::test(start_paused = true)]
async fn tonic_s_cancellation_handle_ends_a_call_in_its_backoff_and_nothing_is_sent_afterwards() {
    let server = Server::in_memory();
    let down = unavailable("down").reading_messages(1);
    server.script().otherwise(down);
    let mut client = retrying(&server, policy().backoff(every(ms(1_000))));
    let (sender, mut request) = live(1);
    let handle = request.cancellation_handle();
    sender.send(text("1")).await.unwrap();
    let call = tokio::spawn(async move { client.bidi_stream(request).await });
    sleep(ms(500)).await;
    handle.cancel();
    // At the latest when the wait is over.
    let ended = timeout(ms(510), call).await.expect("the call ends");
    let status = ended.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "down")
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::RequestFailed));
    sleep(ms(60_000)).await;
    let calls = server.calls();
    let heard: Vec<_> = calls.iter().map(texts).collect();
    assert_eq!(heard, [vec!["1"]]);
}

/// A stream whose second message can not be encoded.
async fn failing<T: Stack>(server: &Server, client: EchoClient<T>) -> (Seen, tonic::Status) {
    server.clear();
    let mut client = client.max_encoding_message_size(50);
    let (sender, request) = live(1);
    let call = tokio::spawn(async move { client.client_stream(request).await });
    sender.send(text("1")).await.unwrap();
    arrived(server, 0, 1).await;
    sender.send(text(&"x".repeat(100))).await.unwrap();
    seen(server, call, &sender).await
}

// CONTRACT R15, B5; PEER-CASES CORE-send-op-fails: here the request fails by itself
#[transports::test(start_paused = true)]
async fn a_stream_that_fails_by_itself_has_one_attempt() {
    let server = Server::in_memory();
    let (plain, _) = failing(&server, EchoClient::new(server.channel())).await;
    let (layered, status) = failing(&server, retrying(&server, policy())).await;
    assert_eq!(layered, plain, "{status:?} {}", sources(&status));
    assert_eq!(layered.1.len(), 1);
    assert_eq!(GiveUp::find(&status), Some(GiveUp::RequestFailed));
}

// CONTRACT B5; PEER-CASES LK-11529, JAVA-message-available: a server that fails the call while the caller still sends
#[transports::test(start_paused = true)]
async fn an_attempt_that_failed_reads_no_more_of_the_caller_s_stream() {
    let server = Server::in_memory();
    let down = unavailable("down").reading_messages(1);
    server.script().on(method::CLIENT_STREAM, [down]);
    let mut client = retrying(&server, policy().backoff(every(ms(1_000))));
    let (sender, request) = live(1);
    sender.send(text("1")).await.unwrap();
    let call = tokio::spawn(async move { client.client_stream(request).await });
    sleep(ms(500)).await;
    sender.send(text("2")).await.unwrap();
    // Nobody reads in a backoff: the caller is held back.
    timeout(ms(400), sender.send(text("3"))).await.unwrap_err();
    sender.send(text("4")).await.unwrap();
    drop(sender);
    let answer = timeout(ms(60_000), call).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.get_ref().text, "124");
    let calls = server.calls();
    assert_eq!(texts(&calls[0]), ["1"]);
    assert_eq!(texts(&calls[1]), ["1", "2", "4"]);
}

// CONTRACT R9
#[transports::test(start_paused = true)]
async fn what_the_caller_does_in_a_backoff_comes_after_what_is_replayed() {
    for more in [&[][..], &["2"], &["2", "3"]] {
        for ends in [true, false] {
            let server = Server::in_memory();
            let read = 1 + more.len();
            let down = |count| unavailable("down").reading_messages(count);
            let mut script = vec![down(1), down(read), down(read)];
            if ends {
                script.push(Answer::handler().reading_request());
            }
            server.script().on(method::CLIENT_STREAM, script);
            let mut client = retrying(&server, policy().backoff(every(ms(1_000))));
            let (sender, request) = live(2);
            sender.send(text("1")).await.unwrap();
            let call = tokio::spawn(async move { client.client_stream(request).await });
            sleep(ms(500)).await;
            for word in more {
                sender.send(text(word)).await.unwrap();
            }
            if !ends {
                server.wait_for_calls(4).await;
            }
            drop(sender);
            let answer = timeout(ms(60_000), call).await.unwrap().unwrap().unwrap();
            let sent = [&["1"], more].concat();
            assert_eq!(answer.get_ref().text, sent.concat());
            let calls = server.calls();
            assert_eq!(calls.len(), 4);
            assert_eq!(texts(&calls[0]), ["1"]);
            assert!(calls[1..].iter().all(|call| texts(call) == sent));
            assert!(calls[3].request_ended);
        }
    }
}

// CONTRACT T2: what the caller's own stream does says nothing of the server
#[transports::test(start_paused = true)]
async fn a_stream_that_fails_by_itself_costs_the_server_no_token() {
    let server = Server::in_memory();
    let budget = Arc::new(TokenBucket::new(10, 0.1).unwrap());
    let failure = Err::<Frame<Bytes>, _>(Status::unavailable("the caller's own"));
    let body = StreamBody::new(tokio_stream::iter([failure]));
    let mut request = http::Request::post(method::CLIENT_STREAM)
        .header("content-type", "application/grpc")
        .body(Body::new(body))
        .unwrap();
    // Whatever code the transport makes of it, it would be charged.
    for code in [Code::Cancelled, Code::Internal, Code::Unknown] {
        request.call_options().idempotent().retry_on(code);
    }
    let service = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::default().replay_limit(1_000))
        .service(server.channel());
    let error = service.oneshot(request).await.unwrap_err();
    assert_eq!(error.give_up(), Some(GiveUp::RequestFailed));
    assert!((budget.tokens() - 10.0).abs() < f64::EPSILON);
}
