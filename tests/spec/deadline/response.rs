//! The deadline covers the response to its end (CONTRACT D9).

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::{Error, GiveUp, Resilience};
use http_body_util::BodyExt as _;
use test_protos::EchoResponse;
use testing::{Answer, Server, grpc_frame};
use tokio::time::{Instant, advance, interval};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::IntervalStream;
use tonic::body::Body;
use tonic::{Code, Request};
use tower::{Layer, Service as _, ServiceBuilder, service_fn};

use crate::support::{
    Endless, SECOND, Stack, all_ended, client, hang_after_message, hello, message, ms,
};

fn one_second() -> DeadlineLayer {
    DeadlineLayer::new().default_timeout(SECOND)
}

fn is_expiry(status: &tonic::Status) {
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(GiveUp::find(status), Some(GiveUp::Deadline));
    let said = "the deadline of 1s passed while reading the response";
    assert!(status.message().starts_with(said), "{status}");
}

// CONTRACT D9, D10
#[transports::test(start_paused = true)]
async fn a_stream_that_hangs_after_its_head_ends_at_the_deadline() {
    let server = Server::in_memory();
    server.script().otherwise(hang_after_message());
    hangs_after_head(&server, one_second().layer(server.channel())).await;
    let full = Resilience::new().default_timeout(SECOND);
    hangs_after_head(&server, full.wrap(server.channel())).await;
}

async fn hangs_after_head<T: Stack>(server: &Server, stack: T) {
    server.clear();
    let start = Instant::now();
    let mut answers = client(stack)
        .server_stream(hello())
        .await
        .unwrap()
        .into_inner();
    assert!(answers.message().await.unwrap().is_some());
    is_expiry(&answers.message().await.unwrap_err());
    assert_eq!(start.elapsed(), SECOND);
    // The stream is over though the caller still holds it.
    assert!(all_ended(server).await[0].cancelled());
}

// CONTRACT D9
#[transports::test(start_paused = true)]
async fn a_unary_answer_whose_message_never_comes_ends_at_the_deadline() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang_after_head());
    let start = Instant::now();
    let full = Resilience::new()
        .default_timeout(SECOND)
        .wrap(server.channel());
    is_expiry(&client(full).unary(hello()).await.unwrap_err());
    assert_eq!(start.elapsed(), SECOND);
    assert!(all_ended(&server).await[0].cancelled());
}

// CONTRACT D9
#[transports::test(start_paused = true)]
async fn a_body_that_trickles_ends_at_the_deadline() {
    let server = Server::in_memory();
    trickles(one_second().layer(server.channel())).await;
    let full = Resilience::new().default_timeout(SECOND);
    trickles(full.wrap(server.channel())).await;
}

async fn trickles<T: Stack>(stack: T) {
    let start = Instant::now();
    let ticks = IntervalStream::new(interval(ms(300))).map(|_| message("tick"));
    let mut answers = client(stack).bidi_stream(ticks).await.unwrap().into_inner();
    for _ in 0..4 {
        assert_eq!(answers.message().await.unwrap().unwrap().text, "tick");
    }
    is_expiry(&answers.message().await.unwrap_err());
    assert_eq!(start.elapsed(), SECOND);
}

// CONTRACT D9
#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_ready_is_cut_at_the_first_frame_after_the_deadline() {
    let endless =
        service_fn(|_: http::Request<Body>| async { Ok::<_, Error>(http::Response::new(Endless)) });
    let mut stack = ServiceBuilder::new().layer(one_second()).service(endless);
    let mut request = http::Request::new(Body::empty());
    request.call_options().timeout(SECOND);
    let mut body = stack.call(request).await.unwrap().into_body();
    for _ in 0..4 {
        assert!(body.frame().await.unwrap().is_ok());
        advance(ms(249)).await;
    }
    assert!(body.frame().await.unwrap().is_ok());
    advance(ms(4)).await;
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded.into());
    assert!(body.frame().await.is_none(), "nothing follows the expiry");
}

// CONTRACT D11
#[transports::test(start_paused = true)]
async fn trailers_that_say_cancelled_at_the_deadline_are_the_deadline() {
    let server = Server::in_memory();
    let frame = grpc_frame(&EchoResponse::default());
    let cancelled =
        |at| Answer::status_after_message(Code::Cancelled, "stopped", frame.clone()).after(ms(at));
    let stack = one_second().layer(server.channel());
    for (at, expected) in [(997, Code::DeadlineExceeded), (900, Code::Cancelled)] {
        server.script().next(cancelled(at));
        let answers = client(stack.clone()).server_stream(hello()).await.unwrap();
        let mut answers = answers.into_inner();
        assert!(answers.message().await.unwrap().is_some());
        let status = answers.message().await.unwrap_err();
        assert_eq!(status.code(), expected, "{at}");
    }
}

// CONTRACT B1
#[transports::test(start_paused = true)]
async fn an_answer_that_is_complete_before_the_deadline_can_be_read_after_it() {
    let server = Server::in_memory();
    let mut request = Request::new(message("hello"));
    request.set_timeout(SECOND);
    let stack = one_second().layer(server.channel());
    let answer = client(stack).unary(request).await.unwrap();
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(answer.into_inner().text, "hello");
}
