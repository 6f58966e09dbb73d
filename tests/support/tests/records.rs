//! What a server remembers of its calls.

mod support;

use std::time::Duration;

use support::{both, client, hello};
use test_protos::EchoRequest;
use testing::{Answer, Server, ended, grpc_frame, method};
use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use tonic::{Code, Request};

#[tokio::test]
async fn headers_are_recorded_as_they_were_sent() {
    both(async |server: Server| {
        let mut request = Request::new(hello());
        request.set_timeout(Duration::from_secs(7));
        let metadata = request.metadata_mut();
        metadata.insert("grpc-previous-rpc-attempts", "2".parse().unwrap());
        metadata.insert("x-call-id", "seven".parse().unwrap());
        metadata.append("x-tag", "a".parse().unwrap());
        metadata.append("x-tag", "b".parse().unwrap());
        client(&server).unary(request).await.unwrap();

        let call = &server.calls()[0];
        assert_eq!(call.method, method::UNARY);
        assert_eq!(call.timeout.as_deref(), Some("7000000u"));
        assert_eq!(call.previous_attempts.as_deref(), Some("2"));
        assert_eq!(call.call_id.as_deref(), Some("seven"));
        assert_eq!(
            call.metadata.get_all("x-tag").iter().collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(call.header("te"), Some("trailers"));
        assert_eq!(call.connection, 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_not_sent_is_none() {
    both(async |server: Server| {
        client(&server).unary(hello()).await.unwrap();
        let call = &server.calls()[0];
        assert!(call.timeout.is_none() && call.previous_attempts.is_none());
        assert!(call.call_id.is_none() && call.header("x-tag").is_none());
    })
    .await;
}

#[tokio::test]
async fn calls_are_recorded_in_order_and_found_by_method() {
    both(async |server: Server| {
        let mut client = client(&server);
        client.unary(hello()).await.unwrap();
        client.unary_idempotent(hello()).await.unwrap();
        client.unary(hello()).await.unwrap();
        let methods: Vec<_> = server.calls().into_iter().map(|call| call.method).collect();
        assert_eq!(
            methods,
            [method::UNARY, method::UNARY_IDEMPOTENT, method::UNARY]
        );
        assert_eq!(server.calls_to(method::UNARY).len(), 2);
        assert_eq!(server.count(), 3);
        server.clear();
        assert_eq!(server.count(), 0);
        client.unary(hello()).await.unwrap();
        assert_eq!(server.count(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_request_is_recorded_as_the_handler_reads_it() {
    both(async |server: Server| {
        client(&server).unary(hello()).await.unwrap();
        let call = &server.wait_until(ended).await[0];
        assert_eq!(call.request, grpc_frame(&hello()));
        assert_eq!(call.messages().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_reads_the_request_has_all_of_it() {
    both(async |server: Server| {
        server
            .script()
            .next(Answer::status(Code::Unavailable, "").reading_request());
        let requests = tokio_stream::iter([hello(), hello(), EchoRequest::default()]);
        client(&server).client_stream(requests).await.unwrap_err();
        let call = &server.calls()[0];
        assert_eq!(call.messages().len(), 3);
        assert!(call.request_ended && !call.handler_ran);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_reads_some_messages_does_not_wait_for_the_rest() {
    both(async |server: Server| {
        server
            .script()
            .next(Answer::status(Code::Unavailable, "").reading_messages(2));
        let requests = tokio_stream::iter([hello(), hello()]).chain(tokio_stream::pending());
        let status = client(&server).client_stream(requests).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let call = &server.calls()[0];
        assert_eq!(call.messages().len(), 2);
        assert!(!call.request_ended);
    })
    .await;
}

#[tokio::test]
async fn a_handler_gets_what_was_read_before_it_ran() {
    both(async |server: Server| {
        server.script().next(Answer::handler().reading_request());
        let requests = tokio_stream::iter([hello(), hello()]);
        let answer = client(&server)
            .client_stream(requests)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.text, "hellohello");
        let call = &server.calls()[0];
        assert_eq!(call.messages().len(), 2);
        assert!(call.handler_ran && call.request_ended);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_reads_nothing_records_nothing() {
    both(async |server: Server| {
        server.script().next(Answer::status(Code::Unavailable, ""));
        client(&server).unary(hello()).await.unwrap_err();
        let call = &server.calls()[0];
        assert!(call.request.is_empty() && !call.request_ended);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn calls_are_dated_on_the_paused_clock() {
    let server = Server::in_memory();
    let start = Instant::now();
    let mut client = client(&server);
    client.unary(hello()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(90)).await;
    client.unary(hello()).await.unwrap();
    let calls = server.calls();
    assert_eq!(calls[0].at, start);
    assert_eq!(calls[1].at - calls[0].at, Duration::from_secs(90));
}
