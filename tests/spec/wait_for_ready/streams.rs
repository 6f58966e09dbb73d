//! Live request streams, which wait like any call until something of them was read.

use grpc_resilience::Resilience;
use grpc_resilience::call::CallOptionsExt;
use testing::{Answer, Server, method};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tower::Layer;

use crate::support::{SECOND, Stack, bidi, client, hello, message, ms, settle};

use super::layer;

/// Closes the gate and leaves a waiting call that will test it.
async fn close<T: Stack>(stack: &T) {
    let mut client = client(stack.clone());
    tokio::spawn(async move { client.unary(hello()).await });
    settle().await;
}

#[transports::test(start_paused = true)]
async fn a_live_stream_waits_while_the_gate_is_closed() {
    let server = Server::in_memory_unstarted();
    waits(&server, layer().layer(server.channel())).await;
    let full = Resilience::new().wait_for_ready(layer());
    waits(&server, full.wrap(server.channel())).await;
}

async fn waits<T: Stack>(server: &Server, stack: T) {
    server.stop();
    close(&stack).await;
    let (send, receive) = mpsc::channel(4);
    send.send(message("early")).await.unwrap();
    let start = Instant::now();
    let bidi = tokio::spawn({
        let mut client = client(stack.clone());
        async move { client.bidi_stream(ReceiverStream::new(receive)).await }
    });
    let (upload, received) = mpsc::channel(4);
    let collect = tokio::spawn({
        let mut client = client(stack);
        async move { client.client_stream(ReceiverStream::new(received)).await }
    });
    upload.send(message("one,")).await.unwrap();
    sleep(ms(1_500)).await;
    assert!(!bidi.is_finished() && !collect.is_finished());
    server.start().await;
    let mut answers = bidi.await.unwrap().unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().text, "early");
    // Our channel's next dial may be 800 ms later, and 20 %.
    assert!(start.elapsed() <= ms(2_500));
    send.send(message("late")).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().text, "late");
    upload.send(message("two")).await.unwrap();
    drop(upload);
    assert_eq!(collect.await.unwrap().unwrap().into_inner().text, "one,two");
}

// CONTRACT W2: the failed dial read nothing of it
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn a_live_stream_that_is_the_first_call_while_the_server_is_down_is_not_lost() {
    for early in [true, false] {
        let server = Server::in_memory_unstarted();
        let mut client = client(layer().layer(server.channel()));
        let (send, receive) = mpsc::channel(4);
        if early {
            send.send(message("early")).await.unwrap();
        }
        let start = Instant::now();
        let call = tokio::spawn(async move {
            let answers = client.bidi_stream(ReceiverStream::new(receive)).await;
            answers.map(tonic::Response::into_inner)
        });
        sleep(ms(1_500)).await;
        assert!(!call.is_finished());
        assert_eq!(server.dials(), 2);
        send.send(message("late")).await.unwrap();
        server.start().await;
        let mut answers = call.await.unwrap().unwrap();
        assert!(start.elapsed() <= 2 * SECOND);
        drop(send);
        let mut heard = Vec::new();
        while let Some(answer) = answers.message().await.unwrap() {
            heard.push(answer.text);
        }
        let expected = if early {
            &["early", "late"][..]
        } else {
            &["late"]
        };
        assert_eq!(heard, expected);
        assert_eq!((server.dials(), server.count()), (3, 1));
    }
}

// CONTRACT W1
#[transports::test(start_paused = true)]
async fn a_live_stream_that_fails_fast_does_so_while_the_server_is_down() {
    let server = Server::in_memory_unstarted();
    let mut client = client(layer().fail_fast().layer(server.channel()));
    let (send, receive) = mpsc::channel(4);
    send.send(message("lost")).await.unwrap();
    let start = Instant::now();
    let call = client.bidi_stream(ReceiverStream::new(receive)).await;
    assert_eq!(call.unwrap_err().code(), Code::Unavailable);
    assert_eq!(start.elapsed(), ms(0));
    assert!(send.is_closed());
}

// DESIGN decision 14
#[transports::test(start_paused = true)]
async fn a_live_stream_that_tests_the_channel_does_not_hold_the_others_until_its_answer() {
    let server = Server::in_memory_unstarted();
    let stack = layer().layer(server.channel());
    let mut hurried = hello();
    hurried.call_options().fail_fast();
    let _ = client(stack.clone()).unary(hurried).await.unwrap_err();
    server
        .script()
        .on(method::CLIENT_STREAM, [Answer::handler()]);
    server.start().await;
    sleep(SECOND).await;
    // The handler answers when the stream ends, which is never.
    let (send, receive) = mpsc::channel(4);
    send.send(message("first")).await.unwrap();
    let upload = tokio::spawn({
        let mut client = client(stack.clone());
        async move { client.client_stream(ReceiverStream::new(receive)).await }
    });
    server.wait_for_calls(1).await;
    let other = timeout(60 * SECOND, client(stack).unary(hello())).await;
    other.expect("the gate is open").unwrap();
    assert!(!upload.is_finished());
    upload.abort();
    drop(send);
}

// CONTRACT B4
#[transports::test(start_paused = true)]
async fn a_live_stream_passes_an_open_gate_frame_by_frame() {
    let server = Server::in_memory();
    let mut client = client(layer().layer(server.channel()));
    client.unary(hello()).await.unwrap();
    let (send, mut answers) = bidi(&mut client).await;
    for text in ["a", "b", "c"] {
        send.send(message(text)).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().text, text);
    }
    drop(send);
    assert!(answers.message().await.unwrap().is_none());
}
