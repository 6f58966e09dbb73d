//! What happens while a live stream is still being replayed. CONTRACT R9, R13.

use grpc_resilience::retry::RetryLayer;
use test_protos::{EchoClient, EchoRequest, EchoResponse};
use testing::{Answer, Server, grpc_frame, method};
use tokio::time::{sleep, timeout};
use tonic::Code;
use tower::Layer as _;

use super::{live, text};
use crate::support::{ms, policy, previous_attempts, unavailable};

/// Eight messages that are more than a server takes without reading them.
fn large(number: usize) -> EchoRequest {
    EchoRequest {
        payload: vec![7; 400 * 1_024].into(),
        ..text(&number.to_string())
    }
}

/// A call whose first attempt failed after eight large messages, and whose second does not get on.
macro_rules! draining {
    ($server:expr, $second:expr) => {{
        let first = unavailable("down").reading_messages(8);
        $server.script().on(method::CLIENT_STREAM, [first, $second]);
        let layer = RetryLayer::new(policy()).replay_limit(usize::MAX);
        let layer = layer.replay_buffer(usize::MAX);
        let mut client = EchoClient::new(layer.layer($server.channel()));
        let (sender, request) = live(16);
        for number in 0..8 {
            sender.send(large(number)).await.unwrap();
        }
        let call = tokio::spawn(async move { client.client_stream(request).await });
        timeout(ms(5_000), $server.wait_for_calls(2)).await.unwrap();
        sleep(ms(1)).await;
        (sender, call)
    }};
}

// PEER-CASES JAVA-operations-while-draining; CONTRACT R9
#[transports::test(start_paused = true)]
async fn what_the_caller_sends_while_a_replay_runs_arrives_after_it_in_order_and_once() {
    let server = Server::in_memory();
    let (sender, call) = draining!(server, Answer::handler().after(ms(500)));
    for word in ["a", "b", "c"] {
        sender.send(text(word)).await.unwrap();
    }
    sleep(ms(100)).await;
    assert_eq!(sender.capacity(), 16 - 3, "the replay still runs");
    drop(sender);
    let answer = timeout(ms(60_000), call).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.get_ref().text, "01234567abc");
    assert_eq!(answer.get_ref().payload.len(), 8 * 400 * 1_024);
    let calls = server.calls();
    assert_eq!(previous_attempts(&calls), [None, Some("1")]);
    assert_eq!(calls[1].messages().len(), 11);
    assert!(calls[1].request_ended);
}

// PEER-CASES JAVA-cancel-while-draining; CONTRACT R13
#[transports::test(start_paused = true)]
async fn a_call_dropped_while_a_replay_runs_is_cancelled_at_the_server_and_sends_no_more() {
    let server = Server::in_memory();
    let (sender, call) = draining!(server, Answer::hang());
    sender.send(text("late")).await.unwrap();
    sleep(ms(100)).await;
    assert_eq!(sender.capacity(), 16 - 1, "the replay still runs");
    call.abort();
    let closed = timeout(ms(1_000), sender.closed()).await;
    closed.expect("the caller's stream is let go");
    sleep(ms(60_000)).await;
    let calls = server.calls();
    assert_eq!(calls.len(), 2);
    assert!(calls[1].cancelled());
    assert!(calls[1].request.is_empty() && !calls[1].request_ended);
}

// PEER-CASES CORE-succeeds-before-replay-finished
#[transports::test(start_paused = true)]
async fn a_server_that_answers_ok_before_it_has_read_the_replay_ends_the_call() {
    let server = Server::in_memory();
    let answer = grpc_frame(&EchoResponse {
        index: 9,
        ..EchoResponse::default()
    });
    let early = Answer::status_in_trailers(Code::Ok, "")
        .frame(answer)
        .after(ms(100));
    let (sender, call) = draining!(server, early);
    let answer = timeout(ms(60_000), call).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.get_ref().index, 9);
    let closed = timeout(ms(1_000), sender.closed()).await;
    closed.expect("the rest is not needed");
    sleep(ms(60_000)).await;
    assert_eq!(server.count(), 2);
}
