//! Bodies frame by frame, below any client.

use std::fmt::Write as _;

use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use test_protos::EchoResponse;
use testing::{Answer, Server, grpc_frame};
use tonic::Code;
use tonic::body::Body;
use tonic::client::GrpcService;

use crate::support::{Stack, for_each_stack, message, sorted};

/// The answer to a request made by hand: head, and each frame with what the body says before it.
async fn raw<T: Stack>(server: &Server, mut stack: T, answer: &Answer) -> String {
    server.script().next(answer.clone());
    let request = http::Request::post("http://in-memory.test/test.v1.Echo/Unary")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(grpc_frame(&message("one")))))
        .unwrap();
    let ready = std::future::poll_fn(|cx| GrpcService::poll_ready(&mut stack, cx)).await;
    ready
        .map_err(Into::<grpc_resilience::BoxError>::into)
        .unwrap();
    let answer = GrpcService::call(&mut stack, request).await;
    let (head, body) = answer
        .map_err(Into::<grpc_resilience::BoxError>::into)
        .unwrap()
        .into_parts();
    let mut headers = sorted(&head.headers);
    headers.retain(|(name, _)| name != "date");
    let mut seen = format!("{:?} {:?} {headers:?}\n", head.status, head.version);
    let mut body = Box::pin(body);
    loop {
        let hint = body.size_hint();
        // Below a held head the lower bound knows of the frame that was read: truer, not the same.
        let state = (body.is_end_stream(), hint.exact(), hint.upper());
        writeln!(seen, "{state:?}").unwrap();
        let Some(frame) = body.frame().await else {
            return seen;
        };
        let frame = frame
            .map_err(Into::<grpc_resilience::BoxError>::into)
            .unwrap();
        match frame.into_trailers() {
            Ok(trailers) => writeln!(seen, "{:?}", sorted(&trailers)).unwrap(),
            Err(frame) => writeln!(seen, "{:?}", frame.into_data().unwrap()).unwrap(),
        }
    }
}

// CONTRACT B1, B3
#[transports::test(start_paused = true)]
async fn frames_size_hints_and_ends_are_the_transport_s() {
    let server = Server::in_memory();
    let frame = |index| {
        grpc_frame(&EchoResponse {
            index,
            ..EchoResponse::default()
        })
    };
    let answers = [
        Answer::handler().reading_request(),
        Answer::status_after_message(Code::Ok, "", frame(1))
            .frame(frame(2))
            .metadata("x", "y"),
        Answer::status_in_trailers(Code::Ok, ""),
        Answer::status(Code::Ok, ""),
    ];
    for answer in answers {
        let bare = raw(&server, server.channel(), &answer).await;
        let stacks = for_each_stack!(server.channel(), |name, stack| {
            assert_eq!(
                raw(&server, stack, &answer).await,
                bare,
                "{name}, {answer:?}"
            );
        });
        assert_eq!(stacks.len(), 17);
    }
    // A request made by hand may say its length; a replay of it then says the same.
    let lengths: Vec<_> = server
        .calls()
        .iter()
        .map(|call| call.header("content-length").map(str::to_owned))
        .collect();
    assert!(
        lengths.windows(2).all(|pair| pair[0] == pair[1]),
        "{lengths:?}"
    );
}
