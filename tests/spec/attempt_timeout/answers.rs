//! Up to where an attempt is bounded, and what other clocks say of its end.

use grpc_resilience::call::{CallOptionsExt, Context, Deadline};
use grpc_resilience::classify::Progress;
use grpc_resilience::deadline::DeadlineLayer;
use testing::{Answer, Server};
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;
use tower::{Layer, ServiceBuilder, ServiceExt as _, service_fn};

use super::{GRACE, LIMIT, limit, timed_out};
use crate::support::{SECOND, client, hang_after_message, hello, ms, settle, untimed};

#[transports::test(start_paused = true)]
async fn by_default_an_answer_that_began_has_all_the_time_of_the_call() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang_after_head());
    let mut alone = client(limit().layer(untimed(&server)));
    let answers = alone.server_stream(hello()).await.unwrap();
    let mut answers = answers.into_inner();
    timeout(60 * SECOND, answers.message()).await.unwrap_err();
}

#[transports::test(start_paused = true)]
async fn until_the_first_message_a_head_is_not_enough() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang_after_head());
    let layer = limit().until_first_message();
    let mut alone = client(layer.layer(untimed(&server)));
    let start = Instant::now();
    let answers = alone.server_stream(hello()).await.unwrap();
    assert!(start.elapsed() < ms(5));
    let mut answers = answers.into_inner();
    let status = answers.message().await.unwrap_err();
    assert_eq!(start.elapsed(), LIMIT);
    assert_eq!(timed_out(&status), Progress::Reached);
    assert!(
        status.message().ends_with("while reading the response"),
        "{status}"
    );
    settle().await;
    // The stream is over though the caller still holds it.
    assert!(server.calls()[0].cancelled());
    drop(answers);
}

#[transports::test(start_paused = true)]
async fn after_the_first_message_the_stream_has_all_the_time_of_the_call() {
    let server = Server::in_memory();
    server.script().otherwise(hang_after_message());
    let layer = limit().until_first_message();
    let mut alone = client(layer.layer(untimed(&server)));
    let mut answers = alone.server_stream(hello()).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    timeout(60 * SECOND, answers.message()).await.unwrap_err();
}

// CONTRACT B1
#[transports::test(start_paused = true)]
async fn a_message_that_came_in_time_can_be_read_later() {
    let server = Server::in_memory();
    let layer = limit().until_first_message();
    let mut alone = client(layer.layer(untimed(&server)));
    let mut request = hello();
    request.get_mut().repeat = 1;
    let mut answers = alone.server_stream(request).await.unwrap().into_inner();
    sleep(2 * LIMIT).await;
    assert_eq!(answers.message().await.unwrap().unwrap().text, "hello");
    assert!(answers.message().await.unwrap().is_none());
}

// CONTRACT D11: stock servers answer so at the timeout that they were told
#[transports::test(start_paused = true)]
async fn what_says_cancelled_at_the_attempt_s_end_is_the_attempt_s_end() {
    let server = Server::in_memory();
    for code in [Code::Cancelled, Code::DeadlineExceeded] {
        let head = Answer::status(code, "stopped");
        let trailers = Answer::status_in_trailers(code, "stopped");
        for answer in [head, trailers] {
            let answer = |at| answer.clone().after(ms(at));
            let layer = limit().until_first_message();
            let mut alone = client(layer.layer(untimed(&server)));
            server.script().next(answer(297));
            let status = alone.unary(hello()).await.unwrap_err();
            assert_eq!(timed_out(&status), Progress::Reached);
            server.script().next(answer(200));
            let status = alone.unary(hello()).await.unwrap_err();
            assert_eq!((status.code(), status.message()), (code, "stopped"));
        }
    }
}

// CONTRACT D11: tonic's timer is told of the attempt's end
#[tokio::test(start_paused = true)]
async fn tonic_s_own_timer_at_the_attempt_s_end_says_no_more_than_ours() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let channel = server.connect_lazy(&server.endpoint().timeout(ms(297)));
    let status = client(limit().layer(channel)).unary(hello()).await;
    let status = status.unwrap_err();
    assert_eq!(timed_out(&status), Progress::Reached);
    assert!(
        status
            .message()
            .starts_with("the attempt's timeout of 300ms")
    );
}

#[tokio::test(start_paused = true)]
async fn layers_below_see_the_attempt_s_end_as_the_deadline_and_tell_the_server_a_later_one() {
    let seen = service_fn(|request: http::Request<tonic::body::Body>| async move {
        let deadline = request.extensions().get::<Context>().unwrap().deadline();
        let header =
            grpc_resilience::__internal::stated_deadline(request.headers(), Instant::now());
        let left = |it: Option<Deadline>| it.map(|it| it.remaining(Instant::now()));
        // The server hears of a later end: the one on this side comes first.
        let told = LIMIT + GRACE;
        assert_eq!((left(deadline), left(header)), (Some(LIMIT), Some(told)));
        Ok::<_, grpc_resilience::Error>(http::Response::new(tonic::body::Body::empty()))
    });
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(SECOND))
        .layer(limit())
        .service(seen);
    let mut request = http::Request::new(tonic::body::Body::empty());
    request.call_options().idempotent();
    stack.oneshot(request).await.unwrap();
}
