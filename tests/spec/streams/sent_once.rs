//! What the layer sends once, and what it hands up as it came. CONTRACT R8, B1.

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::RetryLayer;
use test_protos::{EchoClient, EchoRequest};
use testing::{Answer, Server, grpc_frame, method};
use tonic::Code;
use tower::ServiceBuilder;

use crate::support::{declared, policy, retrying, unavailable};

// CONTRACT R8; PEER-CASES GO-overflow, NET-large-stream, JAVA-per-rpc-limit
#[transports::test(start_paused = true)]
async fn a_request_over_the_replay_limit_is_sent_whole_and_not_repeated() {
    for (payload, attempts) in [(500, 1), (100, 4)] {
        let server = Server::in_memory();
        let answer = unavailable("down").reading_request();
        server.script().always(method::UNARY, answer);
        let channel = ServiceBuilder::new()
            .layer(RetryLayer::new(policy()).replay_limit(200))
            .service(server.channel());
        let mut request = declared();
        request.get_mut().payload = vec![7; payload].into();
        let sent = request.get_ref().clone();
        let status = EchoClient::new(channel).unary(request).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "down")
        );
        let calls = server.calls();
        assert_eq!(calls.len(), attempts);
        for call in calls {
            assert!(call.request_ended);
            assert_eq!(call.request, grpc_frame(&sent));
        }
    }
}

// CONTRACT R8
#[transports::test(start_paused = true)]
async fn a_request_over_the_replay_limit_is_answered_as_any_other() {
    let server = Server::in_memory();
    let mut request = declared();
    request.get_mut().payload = vec![7; 300_000].into();
    let mut client = retrying(&server, policy());
    let answer = client.unary(request).await.unwrap();
    assert_eq!(answer.get_ref().payload, vec![7; 300_000]);
    assert_eq!(server.count(), 1);
}

// CONTRACT B1
#[transports::test(start_paused = true)]
async fn an_ok_answer_is_handed_up_as_it_came() {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    let server = Server::in_memory();
    server
        .script()
        .always(method::UNARY, Answer::handler().header_raw("x-zone", "b"));
    let request = |kind: Option<MethodKind>| {
        let message = http_body_util::Full::new(grpc_frame(&EchoRequest::default()));
        let mut request = http::Request::post("http://in-memory.test/test.v1.Echo/Unary")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(tonic::body::Body::new(message))
            .unwrap();
        if let Some(kind) = kind {
            request.call_options().kind(kind);
        }
        request
    };
    let headers = |head: &http::response::Parts| {
        let mut headers = head.headers.clone();
        headers.remove("date");
        headers
    };
    let plain = server.channel().oneshot(request(None)).await.unwrap();
    let (plain_head, plain_body) = plain.into_parts();
    let plain_body = plain_body.collect().await.unwrap();
    let plain_trailers = plain_body.trailers().cloned();
    let plain_bytes = plain_body.to_bytes();
    for kind in [None, Some(MethodKind::Unary)] {
        let service = ServiceBuilder::new()
            .layer(RetryLayer::new(policy()))
            .service(server.channel());
        let answer = service.oneshot(request(kind)).await.unwrap();
        let (head, body) = answer.into_parts();
        assert_eq!(head.status, plain_head.status);
        assert_eq!(headers(&head), headers(&plain_head));
        let body = body.collect().await.unwrap();
        assert!(plain_trailers.is_some());
        assert_eq!(body.trailers(), plain_trailers.as_ref());
        assert_eq!(body.to_bytes(), plain_bytes);
    }
}
