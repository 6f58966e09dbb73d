//! Live request streams, which can be sent once only.

use grpc_resilience::Resilience;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use testing::{Answer, Server, method};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tower::Layer;

use crate::common::{every, ms};
use crate::support::{SECOND, Stack, client, hello, message, settle};

fn layer() -> WaitForReadyLayer {
    WaitForReadyLayer::new().backoff(every(SECOND))
}

/// Closes the gate and leaves a waiting call that will test it.
async fn close<T: Stack>(stack: &T) {
    let mut client = client(stack.clone());
    tokio::spawn(async move { client.unary(hello()).await });
    settle().await;
}

#[tokio::test(start_paused = true)]
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
    assert!(start.elapsed() <= 2 * SECOND);
    send.send(message("late")).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().text, "late");
    upload.send(message("two")).await.unwrap();
    drop(upload);
    assert_eq!(collect.await.unwrap().unwrap().into_inner().text, "one,two");
}

#[tokio::test(start_paused = true)]
async fn a_live_stream_is_not_waited_for_once_it_was_handed_on() {
    let server = Server::in_memory_unstarted();
    let mut client = client(layer().layer(server.channel()));
    let (send, receive) = mpsc::channel(4);
    send.send(message("lost")).await.unwrap();
    let start = Instant::now();
    let status = client
        .bidi_stream(ReceiverStream::new(receive))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(start.elapsed(), ms(0));
}

// DESIGN decision 14
#[tokio::test(start_paused = true)]
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
#[tokio::test(start_paused = true)]
async fn a_live_stream_passes_an_open_gate_frame_by_frame() {
    let server = Server::in_memory();
    let mut client = client(layer().layer(server.channel()));
    client.unary(hello()).await.unwrap();
    let (send, receive) = mpsc::channel(1);
    let answers = client
        .bidi_stream(ReceiverStream::new(receive))
        .await
        .unwrap();
    let mut answers = answers.into_inner();
    for text in ["a", "b", "c"] {
        send.send(message(text)).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().text, text);
    }
    drop(send);
    assert!(answers.message().await.unwrap().is_none());
}
