//! What a generated client and a server see is what they see without a layer.

use std::fmt::Write as _;

use test_protos::EchoResponse;
use testing::{Answer, Server, details, grpc_frame};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};
use tower::ServiceBuilder;

use crate::support::{Stack, client, for_each_stack, message, sorted};

/// What a client sees of one call, as text.
#[derive(Default)]
struct Seen(String);

impl Seen {
    fn metadata(&mut self, name: &str, metadata: &MetadataMap) {
        let pairs = sorted(&metadata.clone().into_headers());
        // The server's clock is not the layer's doing.
        let pairs: Vec<_> = pairs
            .into_iter()
            .filter(|(name, _)| name != "date")
            .collect();
        writeln!(self.0, "{name}: {pairs:?}").unwrap();
    }

    fn status(&mut self, status: &Status) {
        let (code, message, details) = (status.code(), status.message(), status.details());
        writeln!(self.0, "status: {code:?} {message:?} {details:?}").unwrap();
        self.metadata("metadata", status.metadata());
    }

    fn head<T>(&mut self, response: Result<Response<T>, Status>) -> Option<T> {
        match response {
            Ok(response) => {
                self.metadata("head", response.metadata());
                let marker = response.extensions().get::<Marker>();
                writeln!(self.0, "extension: {marker:?}").unwrap();
                Some(response.into_inner())
            }
            Err(status) => {
                self.status(&status);
                None
            }
        }
    }

    async fn stream(&mut self, response: Result<Response<Streaming<EchoResponse>>, Status>) {
        let Some(mut answers) = self.head(response) else {
            return;
        };
        loop {
            match answers.message().await {
                Ok(Some(answer)) => writeln!(self.0, "{answer:?}").unwrap(),
                Ok(None) => break,
                Err(status) => return self.status(&status),
            }
        }
        let trailers = answers.trailers().await.unwrap().unwrap_or_default();
        self.metadata("trailers", &trailers);
    }
}

#[derive(Clone, Debug)]
struct Marker(#[expect(dead_code, reason = "seen as text")] u32);

fn three() -> impl tokio_stream::Stream<Item = test_protos::EchoRequest> {
    tokio_stream::iter(["a", "b", "c"].map(message))
}

fn with_metadata<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("x-tenant", "blue".parse().unwrap());
    let bytes = tonic::metadata::MetadataValue::from_bytes(&[0, 1, 255]);
    request.metadata_mut().insert_bin("x-trace-bin", bytes);
    request
}

/// What the client sees and what the server sees of one call of each kind.
async fn seen<T: Stack>(server: &Server, stack: T, answer: &Answer) -> (String, String) {
    server.clear();
    let mut seen = Seen::default();
    let mut client = client(stack);
    let script = server.script();
    script.next(answer.clone());
    let response = client.unary(with_metadata(message("one"))).await;
    if let Some(answer) = seen.head(response) {
        writeln!(seen.0, "{answer:?}").unwrap();
    }
    script.next(answer.clone());
    let repeated = test_protos::EchoRequest {
        repeat: 3,
        ..message("many")
    };
    let response = client.server_stream(with_metadata(repeated)).await;
    seen.stream(response).await;
    script.next(answer.clone());
    let response = client.client_stream(with_metadata(three())).await;
    if let Some(answer) = seen.head(response) {
        writeln!(seen.0, "{answer:?}").unwrap();
    }
    script.next(answer.clone());
    let response = client.bidi_stream(with_metadata(three())).await;
    seen.stream(response).await;

    let mut heard = String::new();
    for call in server.calls() {
        let mut headers = sorted(&call.metadata);
        headers.retain(|(name, _)| name != "grpc-timeout");
        assert!(!call.metadata.contains_key("content-length"));
        let body = &call.request;
        writeln!(
            heard,
            "{} {headers:?} {:?} {body:?}",
            call.method, call.request_ended
        )
        .unwrap();
    }
    (seen.0, heard)
}

async fn is_transparent(answer: Answer) {
    let server = Server::in_memory();
    let channel = || {
        ServiceBuilder::new()
            .map_response(|mut response: http::Response<transports::ResponseBody>| {
                response.extensions_mut().insert(Marker(7));
                response
            })
            .service(server.channel())
    };
    let (client_s, server_s) = seen(&server, channel(), &answer).await;
    assert_eq!(server.count(), 4);
    let stacks = for_each_stack!(channel(), |name, stack| {
        let (seen, heard) = seen(&server, stack, &answer).await;
        assert_eq!(seen, client_s, "{name}, at the client, of {answer:?}");
        assert_eq!(heard, server_s, "{name}, at the server, of {answer:?}");
    });
    assert_eq!(stacks.len(), 17);
}

// CONTRACT B1, B3
#[transports::test(start_paused = true)]
async fn an_ok_answer_goes_up_as_it_came() {
    is_transparent(
        Answer::handler()
            .reading_request()
            .header_raw("x-zone", "b"),
    )
    .await;
}

// CONTRACT B1
#[transports::test(start_paused = true)]
async fn the_trailers_of_an_ok_answer_go_up_as_they_came() {
    let frame = grpc_frame(&EchoResponse {
        index: 9,
        ..EchoResponse::default()
    });
    let answer = Answer::status_after_message(Code::Ok, "", frame)
        .reading_request()
        .metadata("x-cost", "3")
        .metadata("x-cost", "4")
        .header_raw("x-zone", "b");
    is_transparent(answer).await;
}

fn failure(answer: Answer) -> Answer {
    let details = details(Code::FailedPrecondition, "not \u{e9}ven", &[]);
    answer
        .reading_request()
        .details(details)
        .metadata("x-zone", "b")
        .metadata("x-zone", "c")
}

// CONTRACT B1, R3
#[transports::test(start_paused = true)]
async fn a_failure_in_the_head_shows_its_code_message_details_and_metadata() {
    is_transparent(failure(Answer::status(
        Code::FailedPrecondition,
        "no \u{1f980} % today",
    )))
    .await;
}

// CONTRACT B1, R3
#[transports::test(start_paused = true)]
async fn a_failure_in_the_trailers_shows_its_code_message_details_and_metadata() {
    is_transparent(failure(Answer::status_in_trailers(
        Code::FailedPrecondition,
        "no",
    )))
    .await;
}

// CONTRACT B1, R3
#[transports::test(start_paused = true)]
async fn a_failure_after_a_message_shows_the_message_and_then_itself() {
    let frame = grpc_frame(&EchoResponse {
        index: 9,
        ..EchoResponse::default()
    });
    is_transparent(failure(Answer::status_after_message(
        Code::Aborted,
        "no",
        frame,
    )))
    .await;
}

// CONTRACT B1, R3
#[transports::test(start_paused = true)]
async fn a_failure_after_response_headers_shows_their_metadata_too() {
    let answer = Answer::status_in_trailers(Code::FailedPrecondition, "no");
    is_transparent(failure(answer).header_raw("x-head", "h")).await;
}
