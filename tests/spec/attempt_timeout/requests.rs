//! What becomes of the request of an attempt that ended, and of a call that is dropped.

use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::retry::RetryLayer;
use test_protos::EchoRequest;
use testing::{Answer, Server, method};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tower::{Layer, ServiceBuilder};

use super::{LIMIT, limit, policy, timed_out};
use crate::support::{
    SECOND, Stack, client, hello, message, ms, previous_attempts, settle, untimed,
};

type Sender = mpsc::Sender<EchoRequest>;

/// A stream of requests that goes on as long as its sender.
fn live() -> (Sender, Request<ReceiverStream<EchoRequest>>) {
    let (sender, receiver) = mpsc::channel(16);
    sender.try_send(message("one")).unwrap();
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.call_options().idempotent();
    (sender, request)
}

/// The attempt of a live call ends, and its stream with it.
async fn ends<T: Stack>(server: &Server, stack: T) {
    let (sender, request) = live();
    let answers = client(stack).bidi_stream(request).await;
    let (_held, status) = match answers {
        Err(status) => (None, status),
        Ok(answers) => {
            let mut answers = answers.into_inner();
            let status = answers.message().await.unwrap_err();
            (Some(answers), status)
        }
    };
    timed_out(&status);
    settle().await;
    let calls = server.calls();
    assert!(calls.last().unwrap().cancelled());
    assert_eq!(calls.last().unwrap().messages().len(), 1);
    assert!(!calls.last().unwrap().request_ended);
    timeout(ms(1), sender.closed())
        .await
        .expect("the stream is let go");
}

// CONTRACT D10, B5: hyper would go on with a live request whose answer nobody waits for
#[transports::test(start_paused = true)]
async fn the_end_frees_the_stream_of_a_live_request_at_once() {
    let server = Server::in_memory();
    let first = || limit().until_first_message();
    let hang = || Answer::hang().reading_messages(1);
    let head = || Answer::hang_after_head().reading_messages(1);
    let once = || policy().max_attempts(1).unwrap();
    for answer in [hang(), head()] {
        server.script().otherwise(answer);
        ends(&server, first().layer(untimed(&server))).await;
        let retried = RetryLayer::new(once()).layer(first().layer(untimed(&server)));
        ends(&server, retried).await;
    }
    server.script().otherwise(hang());
    ends(&server, limit().layer(untimed(&server))).await;
    let retried = RetryLayer::new(once()).layer(limit().layer(untimed(&server)));
    ends(&server, retried).await;
    // What does not fit is not kept; it is reset all the same.
    let unkept = RetryLayer::new(once()).replay_limit(0);
    ends(&server, unkept.layer(limit().layer(untimed(&server)))).await;
}

// PEER-CASES CORE-per-attempt-timeout; CONTRACT R9
#[transports::test(start_paused = true)]
async fn a_live_request_is_replayed_to_the_attempt_after_the_one_that_timed_out() {
    let server = Server::in_memory();
    let hang = Answer::hang().reading_messages(1);
    server.script().on(method::CLIENT_STREAM, [hang]);
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .layer(limit())
        .service(untimed(&server));
    let (sender, request) = live();
    let caller = async {
        sleep(LIMIT + ms(5)).await;
        assert!(server.calls()[0].cancelled(), "before the next one goes");
        server.wait_for_calls(2).await;
        sender.send(message("two")).await.unwrap();
        drop(sender);
    };
    let mut client = client(stack);
    let (answer, ()) = tokio::join!(client.client_stream(request), caller);
    assert_eq!(answer.unwrap().get_ref().text, "onetwo");
    let calls = server.calls();
    assert_eq!(previous_attempts(&calls), [None, Some("1")]);
    assert!(!calls[0].request_ended);
}

// CONTRACT B4: the bound is over with the answer, the request is not
#[transports::test(start_paused = true)]
async fn a_live_request_goes_on_after_the_answer_began() {
    let server = Server::in_memory();
    for layer in [limit(), limit().until_first_message()] {
        let (sender, request) = live();
        let mut client = client(layer.layer(untimed(&server)));
        let mut answers = client.bidi_stream(request).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap().text, "one");
        sleep(3 * LIMIT).await;
        sender.send(message("two")).await.unwrap();
        drop(sender);
        assert_eq!(answers.message().await.unwrap().unwrap().text, "two");
        assert!(answers.message().await.unwrap().is_none());
    }
}

// CONTRACT R13
#[transports::test(start_paused = true)]
async fn a_dropped_call_leaves_no_timer_and_no_task_behind() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .layer(limit())
        .service(untimed(&server));
    let metrics = tokio::runtime::Handle::current().metrics();
    let mut before = None;
    for drop_after in [1, 150, 299, 305, 311, 500] {
        let mut client = client(stack.clone());
        let mut request = hello();
        request.call_options().idempotent();
        let call = client.unary(request);
        timeout(ms(drop_after), call).await.unwrap_err();
        let count = server.count();
        sleep(SECOND).await;
        assert_eq!(server.count(), count, "went on after {drop_after} ms");
        assert!(server.calls().iter().all(testing::Call::cancelled));
        let alive = metrics.num_alive_tasks();
        assert_eq!(*before.get_or_insert(alive), alive, "{drop_after} ms");
    }
}

// CONTRACT B1; DESIGN decision 15
#[transports::test(start_paused = true)]
async fn a_call_that_nothing_bounds_carries_nothing() {
    let server = Server::in_memory();
    client(AttemptTimeoutLayer::default().layer(server.channel()))
        .unary(hello())
        .await
        .unwrap();
    assert_eq!(server.calls()[0].timeout, None);
}
