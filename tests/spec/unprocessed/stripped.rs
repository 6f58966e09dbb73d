//! It is of one hop: no client layer hands it up.

use grpc_resilience::BoxError;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use test_protos::{EchoRequest, EchoResponse};
use testing::{Answer, Server, grpc_frame, method};
use tonic::body::Body;
use tonic::{Code, Response, Status};
use tower::{Layer as _, service_fn};

use super::{WORD, vouching};
use crate::support::{Stack, client, declared, for_each_stack, undeclared};

type Called = Result<Response<EchoResponse>, Status>;

fn metadata(called: &Called) -> &tonic::metadata::MetadataMap {
    match called {
        Ok(response) => response.metadata(),
        Err(status) => status.metadata(),
    }
}

/// It, in a head, in trailers, in both; with a failure, with OK, and before and after a message.
fn answers() -> Vec<Answer> {
    let ok = || {
        let frame = grpc_frame(&EchoRequest::default());
        Answer::status_after_message(Code::Ok, "", frame)
    };
    let failed = || Answer::status_in_trailers(Code::Internal, "broken");
    let path = method::UNARY;
    vec![
        vouching(path),
        vouching("elsewhere"),
        vouching(path).metadata(WORD, path),
        failed().metadata(WORD, path),
        failed().header_raw(WORD, path),
        ok().metadata(WORD, path),
        ok().header_raw(WORD, path),
        ok().header_raw(WORD, path).metadata(WORD, path),
    ]
}

async fn hands_up_none<S: Stack>(name: &str, server: &Server, stack: S) {
    for answer in answers() {
        server.script().clear();
        server.script().otherwise(answer.metadata("x-zone", "b"));
        for request in [undeclared(), declared()] {
            let called = client(stack.clone()).unary(request).await;
            let metadata = metadata(&called);
            assert!(!metadata.contains_key(WORD), "{name}: {called:?}");
            assert!(metadata.contains_key("x-zone"), "{name}: {called:?}");
        }
    }
}

// CONTRACT I7
#[transports::test(start_paused = true)]
async fn no_layer_that_acts_hands_it_up_whether_it_acts_on_the_call_or_not() {
    let server = Server::in_memory();
    let stacks = for_each_stack!(server.channel(), |name, stack| {
        // These two hand on the answer of what is below them as it is.
        if !["idempotency", "budget"].contains(&name) {
            hands_up_none(name, &server, stack).await;
        }
    });
    assert!(stacks.len() > 10);
    let never = RetryLayer::new(RetryPolicy::never()).trust_unprocessed();
    hands_up_none("never", &server, never.layer(server.channel())).await;
}

// CONTRACT I7
#[tokio::test(start_paused = true)]
async fn a_status_of_a_service_below_loses_it_too() {
    let inner = service_fn(|_: http::Request<Body>| async {
        let mut status = Status::internal("broken");
        let metadata = status.metadata_mut();
        metadata.insert(WORD, method::UNARY.parse().unwrap());
        metadata.insert("x-zone", "b".parse().unwrap());
        Err::<http::Response<Body>, BoxError>(status.into())
    });
    let layer = RetryLayer::new(RetryPolicy::new()).trust_unprocessed();
    let status = client(layer.layer(inner))
        .unary(undeclared())
        .await
        .unwrap_err();
    assert!(!status.metadata().contains_key(WORD));
    assert!(status.metadata().contains_key("x-zone"));
}
