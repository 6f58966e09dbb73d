//! Streams make progress as they do without a layer, and end as they do.

use testing::{Answer, Outcome, Server, method};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{
    SECOND, Stack, all_ended, bidi, client, for_each_stack, hang_after_message, hello, message, ms,
    settle,
};

async fn ping_pong<T: Stack>(stack: T) {
    let (send, mut answers) = bidi(&mut client(stack)).await;
    for text in ["a", "b", "c"] {
        send.send(message(text)).await.unwrap();
        let answer = timeout(SECOND, answers.message()).await.unwrap();
        assert_eq!(answer.unwrap().unwrap().text, text);
    }
    drop(send);
    assert!(answers.message().await.unwrap().is_none());
}

// CONTRACT B4
#[transports::test(start_paused = true)]
async fn a_bidi_call_sends_one_gets_one_and_sends_the_next() {
    let server = Server::in_memory();
    let _ = for_each_stack!(server.channel(), |_name, stack| ping_pong(stack).await);
    assert!(all_ended(&server).await.iter().all(testing::Call::finished));
}

async fn upload<T: Stack>(server: &Server, stack: T) {
    server.clear();
    let (send, receive) = mpsc::channel(1);
    let mut client = client(stack);
    let call =
        tokio::spawn(async move { client.client_stream(ReceiverStream::new(receive)).await });
    for count in 1..=3 {
        send.send(message("x")).await.unwrap();
        let arrived =
            server.wait_until(|calls| calls.iter().any(|it| it.messages().len() == count));
        timeout(SECOND, arrived).await.unwrap();
    }
    assert!(!call.is_finished());
    drop(send);
    assert_eq!(call.await.unwrap().unwrap().into_inner().text, "xxx");
}

// CONTRACT B4
#[transports::test(start_paused = true)]
async fn a_client_stream_arrives_message_by_message() {
    let server = Server::in_memory();
    let _ = for_each_stack!(server.channel(), |_name, stack| upload(&server, stack)
        .await);
}

async fn drops_a_response<T: Stack>(server: &Server, stack: T) {
    server.clear();
    let mut client = client(stack);
    let mut answers = client.server_stream(hello()).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    settle().await;
    assert_eq!(server.calls()[0].outcome, Outcome::Running);
    drop(answers);
    assert!(all_ended(server).await[0].cancelled());
}

// CONTRACT B5
#[transports::test(start_paused = true)]
async fn dropping_the_response_stream_cancels_the_call_at_the_server() {
    let server = Server::in_memory();
    server.script().otherwise(hang_after_message());
    let _ = for_each_stack!(server.channel(), |_name, stack| {
        drops_a_response(&server, stack).await;
    });
}

async fn drops_a_call<T: Stack>(server: &Server, stack: T) {
    server.clear();
    let mut client = client(stack);
    let call = tokio::spawn(async move { client.unary(hello()).await });
    server.wait_for_calls(1).await;
    call.abort();
    assert!(all_ended(server).await[0].cancelled());
}

// CONTRACT B5, R13
#[transports::test(start_paused = true)]
async fn dropping_the_call_cancels_it_at_the_server() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let _ = for_each_stack!(server.channel(), |_name, stack| drops_a_call(
        &server, stack
    )
    .await);
}

/// How the server fares if one side of a bidi call is dropped.
async fn after_drop<T: Stack>(server: &Server, stack: T, drop_answers: bool) -> (Outcome, bool) {
    server.clear();
    let (send, answers) = bidi(&mut client(stack)).await;
    let mut answers = Some(answers);
    send.send(message("a")).await.unwrap();
    assert!(answers.as_mut().unwrap().message().await.unwrap().is_some());
    let mut send = Some(send);
    if drop_answers {
        answers = None;
    } else {
        send = None;
    }
    sleep(ms(10)).await;
    let call = server.calls().remove(0);
    drop((send, answers));
    (call.outcome, call.request_ended)
}

// CONTRACT B5
#[transports::test(start_paused = true)]
async fn dropping_either_side_of_a_bidi_call_has_the_effect_it_has_without_a_layer() {
    let server = Server::in_memory();
    for drop_answers in [true, false] {
        let bare = after_drop(&server, server.channel(), drop_answers).await;
        let _ = for_each_stack!(server.channel(), |name, stack| {
            let layered = after_drop(&server, stack, drop_answers).await;
            assert_eq!(layered, bare, "{name}, answers dropped: {drop_answers}");
        });
    }
}

async fn drops_the_call_with_its_request<T: Stack>(server: &Server, stack: T) -> (Outcome, bool) {
    server.clear();
    let (send, receive) = mpsc::channel(1);
    send.send(message("a")).await.unwrap();
    let mut client = client(stack);
    let call =
        tokio::spawn(async move { client.client_stream(ReceiverStream::new(receive)).await });
    server
        .wait_until(|calls| calls.iter().any(|it| it.messages().len() == 1))
        .await;
    call.abort();
    drop(send);
    let call = all_ended(server).await.remove(0);
    (call.outcome, call.request_ended)
}

// CONTRACT B5; FIELD.md 1: without tonic's handle the server would see a proper end of the request
#[transports::test(start_paused = true)]
async fn a_dropped_client_stream_does_not_look_like_a_complete_one() {
    let server = Server::in_memory();
    server
        .script()
        .always(method::CLIENT_STREAM, Answer::handler());
    let bare = drops_the_call_with_its_request(&server, server.channel()).await;
    let _ = for_each_stack!(server.channel(), |name, stack| {
        let layered = drops_the_call_with_its_request(&server, stack).await;
        assert_eq!(layered, bare, "{name}");
    });
}
