//! The clock: paused, it costs nothing to wait.

mod support;

use std::time::Duration;

use support::{client, hello};
use testing::{Answer, Server, ended, grpc_frame};
use tokio::time::{Instant, timeout};
use tonic::{Code, Request};

const LONG: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_delay_takes_exactly_its_time_on_a_paused_clock() {
    let server = Server::in_memory();
    let answers = [
        Answer::handler(),
        Answer::status(Code::Unavailable, ""),
        Answer::status_in_trailers(Code::Unavailable, ""),
        Answer::http(http::StatusCode::BAD_GATEWAY, "text/plain", "no"),
        Answer::drop_connection(),
    ];
    for answer in answers {
        server.script().next(answer.after(LONG));
        let start = Instant::now();
        let _ = client(&server).unary(hello()).await;
        assert_eq!(start.elapsed(), LONG);
    }
}

#[tokio::test]
async fn a_delay_works_on_a_running_clock() {
    let server = Server::tcp().await;
    let delay = Duration::from_millis(30);
    server.script().next(Answer::handler().after(delay));
    let start = Instant::now();
    client(&server).unary(hello()).await.unwrap();
    assert!(start.elapsed() >= delay);
}

#[tokio::test(start_paused = true)]
async fn a_hour_of_delays_costs_no_real_time() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::handler().after(LONG));
    let mut client = client(&server);
    let start = Instant::now();
    for _ in 0..360 {
        client.unary(hello()).await.unwrap();
    }
    assert_eq!(start.elapsed(), 360 * LONG);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_up_cancels_the_call() {
    let server = Server::in_memory();
    server.script().next(Answer::hang());
    let mut client = client(&server);
    assert!(timeout(LONG, client.unary(hello())).await.is_err());
    assert!(server.wait_until(ended).await[0].cancelled());
}

#[tokio::test(start_paused = true)]
async fn tonic_ends_a_call_that_hangs_at_its_grpc_timeout() {
    let server = Server::in_memory();
    server.script().next(Answer::hang());
    let mut request = Request::new(hello());
    request.set_timeout(LONG);
    let start = Instant::now();
    let status = client(&server).unary(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Cancelled);
    assert_eq!(start.elapsed(), LONG);
    assert!(server.wait_until(ended).await[0].cancelled());
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_hang_after_its_head_past_any_timeout() {
    let server = Server::in_memory();
    let frame = grpc_frame(&test_protos::EchoResponse::default());
    server.script().next(Answer::hang_after_head().frame(frame));
    let mut request = Request::new(hello());
    request.set_timeout(LONG);
    let mut stream = client(&server)
        .server_stream(request)
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    assert!(timeout(100 * LONG, stream.message()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn dials_take_the_time_they_are_told_to() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(LONG);
    let start = Instant::now();
    client(&server).unary(hello()).await.unwrap_err();
    assert_eq!(start.elapsed(), LONG);
    server.start().await;
    client(&server).unary(hello()).await.unwrap();
    assert_eq!(start.elapsed(), 2 * LONG);
}
