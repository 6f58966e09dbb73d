//! Each kind of answer, as a plain generated client sees it, over TCP and in memory.

mod support;

use std::time::Duration;

use http::StatusCode;
use support::{both, client, hello};
use test_protos::{EchoRequest, EchoResponse};
use testing::{Answer, Server, details, ended, grpc_frame, method, retry_info_any};
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic_types::StatusExt as _;

#[tokio::test]
async fn the_real_handler_answers_what_nothing_is_scripted_for() {
    both(async |server: Server| {
        let answer = client(&server).unary(hello()).await.unwrap().into_inner();
        assert_eq!(answer.text, "hello");
        let calls = server.wait_until(ended).await;
        assert!(calls[0].handler_ran && calls[0].finished());
    })
    .await;
}

#[tokio::test]
async fn every_method_of_the_echo_works() {
    both(async |server: Server| {
        let mut client = client(&server);
        let said = |text: &str| EchoRequest {
            text: text.to_owned(),
            repeat: 3,
            ..EchoRequest::default()
        };
        assert_eq!(
            client
                .unary_idempotent(hello())
                .await
                .unwrap()
                .into_inner()
                .text,
            "hello"
        );
        assert_eq!(
            client
                .unary_no_side_effects(hello())
                .await
                .unwrap()
                .into_inner()
                .text,
            "hello"
        );
        assert_eq!(
            client
                .unary_unknown(hello())
                .await
                .unwrap()
                .into_inner()
                .text,
            "hello"
        );

        let stream = client
            .server_stream(said("again"))
            .await
            .unwrap()
            .into_inner();
        let indexes: Vec<_> = stream.map(|answer| answer.unwrap().index).collect().await;
        assert_eq!(indexes, [0, 1, 2]);
        let stream = client
            .server_stream_idempotent(said("again"))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(stream.collect::<Vec<_>>().await.len(), 3);

        let requests = tokio_stream::iter([said("one "), said("two")]);
        assert_eq!(
            client
                .client_stream(requests)
                .await
                .unwrap()
                .into_inner()
                .text,
            "one two"
        );
        assert_eq!(server.count(), 6);
    })
    .await;
}

#[tokio::test]
async fn the_bidi_echo_answers_each_message_as_it_comes() {
    both(async |server: Server| {
        let (say, heard) = tokio::sync::mpsc::channel(1);
        let heard = tokio_stream::wrappers::ReceiverStream::new(heard);
        let mut answers = client(&server)
            .bidi_stream(heard)
            .await
            .unwrap()
            .into_inner();
        for index in 0..3 {
            say.send(hello()).await.unwrap();
            assert_eq!(answers.message().await.unwrap().unwrap().index, index);
        }
        drop(say);
        assert!(answers.message().await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_status_comes_as_trailers_only() {
    both(async |server: Server| {
        server.script().next(
            Answer::status(Code::Unavailable, "going: 50 % done")
                .metadata("x-shard", "a")
                .metadata("x-shard", "b")
                .header_raw("x-proxy", b"\xff")
                .pushback("100"),
        );
        let response = support::raw_unary(&server).await;
        assert_eq!(response.headers()["grpc-status"], "14");
        let body = support::frames(response).await;
        assert!(body.data.is_empty() && body.trailers.is_none());

        server.script().next(
            Answer::status(Code::Unavailable, "going: 50 % done")
                .metadata("x-shard", "a")
                .metadata("x-shard", "b")
                .pushback("100"),
        );
        let status = client(&server).unary(hello()).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "going: 50 % done")
        );
        let shards: Vec<_> = status.metadata().get_all("x-shard").iter().collect();
        assert_eq!(shards, ["a", "b"]);
        assert_eq!(
            status.metadata().get("grpc-retry-pushback-ms").unwrap(),
            "100"
        );
        let calls = server.wait_until(ended).await;
        assert!(
            calls
                .iter()
                .all(|call| !call.handler_ran && call.finished())
        );
    })
    .await;
}

#[tokio::test]
async fn a_status_in_trailers_comes_behind_a_head_without_data() {
    both(async |server: Server| {
        let answer = Answer::status_in_trailers(Code::Aborted, "late")
            .metadata("x-shard", "a")
            .header_raw("x-proxy", "p");
        server.script().on(method::UNARY, [answer.clone(), answer]);

        let response = support::raw_unary(&server).await;
        assert!(!response.headers().contains_key("grpc-status"));
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert_eq!(response.headers()["x-proxy"], "p");
        let body = support::frames(response).await;
        assert!(body.data.is_empty());
        let trailers = body.trailers.unwrap();
        assert_eq!(trailers["grpc-status"], "10");
        assert_eq!(trailers["x-shard"], "a");

        let status = client(&server).unary(hello()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Aborted, "late"));
        assert_eq!(server.wait_until(ended).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_status_after_a_message_comes_behind_data() {
    both(async |server: Server| {
        let message = EchoResponse {
            text: "first".to_owned(),
            ..EchoResponse::default()
        };
        let frame = grpc_frame(&message);
        server.script().next(
            Answer::status_after_message(Code::DataLoss, "broke off", frame.clone()).frame(frame),
        );
        let request = EchoRequest::default();
        let mut stream = client(&server)
            .server_stream(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap(), message);
        assert_eq!(stream.message().await.unwrap().unwrap(), message);
        let status = stream.message().await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::DataLoss, "broke off")
        );
    })
    .await;
}

#[tokio::test]
async fn details_arrive_decoded() {
    both(async |server: Server| {
        let delay = Duration::from_millis(1_500);
        let bytes = details(Code::ResourceExhausted, "quota", &[retry_info_any(delay)]);
        server
            .script()
            .next(Answer::status(Code::ResourceExhausted, "quota").details(&bytes))
            .next(Answer::status_in_trailers(Code::ResourceExhausted, "quota").retry_info(delay));
        let status = client(&server).unary(hello()).await.unwrap_err();
        assert_eq!(status.details(), bytes);
        assert_eq!(
            status.get_details_retry_info().unwrap().retry_delay,
            Some(delay)
        );
        let status = client(&server).unary(hello()).await.unwrap_err();
        assert_eq!(
            status.get_details_retry_info().unwrap().retry_delay,
            Some(delay)
        );
    })
    .await;
}

#[tokio::test]
async fn malformed_details_go_out_as_they_are() {
    both(async |server: Server| {
        server
            .script()
            .next(Answer::status(Code::Internal, "").details_raw("not base64!"));
        let response = support::raw_unary(&server).await;
        assert_eq!(response.headers()["grpc-status-details-bin"], "not base64!");
    })
    .await;
}

#[tokio::test]
async fn metadata_replaces_what_the_answer_has_of_itself() {
    both(async |server: Server| {
        server.script().next(
            Answer::status(Code::Internal, "")
                .metadata("grpc-status", "many")
                .header_raw("content-type", "application/grpc+json"),
        );
        let response = support::raw_unary(&server).await;
        assert_eq!(response.headers()["grpc-status"], "many");
        assert_eq!(response.headers().get_all("grpc-status").iter().count(), 1);
        assert_eq!(response.headers()["content-type"], "application/grpc+json");
    })
    .await;
}

#[tokio::test]
async fn an_http_answer_is_not_grpc() {
    both(async |server: Server| {
        let page = Answer::http(StatusCode::SERVICE_UNAVAILABLE, "text/html", "<h1>no</h1>");
        let empty = Answer::http(StatusCode::SERVICE_UNAVAILABLE, "", "");
        server.script().on(method::UNARY, [page.clone(), page, empty]);

        let response = support::raw_unary(&server).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["content-type"], "text/html");
        assert_eq!(support::frames(response).await.data, "<h1>no</h1>");

        let status = client(&server).unary(hello()).await.unwrap_err();
        assert_eq!(status.message(), "protocol error: received message with invalid compression flag: 60 (valid flags are 0 and 1) while receiving response with status: 503 Service Unavailable");
        let status = client(&server).unary(hello()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_hangs_is_cancelled_when_the_client_leaves() {
    both(async |server: Server| {
        server.script().next(Answer::hang());
        let mut client = client(&server);
        let call = tokio::spawn(async move { client.unary(hello()).await });
        let calls = server.wait_for_calls(1).await;
        assert!(!calls[0].cancelled() && !calls[0].finished());
        call.abort();
        let calls = server.wait_until(ended).await;
        assert!(calls[0].cancelled() && !calls[0].handler_ran);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_hangs_after_its_head_is_cancelled_when_the_client_leaves() {
    both(async |server: Server| {
        let frame = grpc_frame(&EchoResponse::default());
        server.script().next(
            Answer::hang_after_head()
                .frame(frame)
                .metadata("x-shard", "a"),
        );
        let response = client(&server).server_stream(hello()).await.unwrap();
        assert_eq!(response.metadata().get("x-shard").unwrap(), "a");
        let mut stream = response.into_inner();
        assert!(stream.message().await.unwrap().is_some());
        assert!(!server.calls()[0].cancelled());
        drop(stream);
        assert!(server.wait_until(ended).await[0].cancelled());
    })
    .await;
}

#[tokio::test]
async fn a_handler_whose_client_leaves_is_cancelled() {
    both(async |server: Server| {
        let endless = EchoRequest {
            repeat: u32::MAX,
            ..hello()
        };
        let mut stream = client(&server)
            .server_stream(endless)
            .await
            .unwrap()
            .into_inner();
        stream.message().await.unwrap();
        drop(stream);
        let calls = server.wait_until(ended).await;
        assert!(calls[0].cancelled() && calls[0].handler_ran);
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "no place for a data frame")]
async fn a_frame_for_an_answer_without_data_is_a_mistake() {
    let _ = Answer::hang().frame("data");
}
