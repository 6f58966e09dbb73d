//! A layer that sends again sends what it was given, not what a layer above it was.

use grpc_resilience::Resilience;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use testing::{Server, grpc_frame, method};
use tokio::time::sleep;
use tonic::body::Body;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

use crate::support::{SECOND, Stack, client, every, failures, hello, message, ms, policy};

/// What a layer of the user's own makes of a body, whatever it was.
fn changed() -> Body {
    Body::new(Full::new(grpc_frame(&message("changed"))))
}

/// Calls while the server is down and starts it then; each attempt it refuses is repeated.
async fn sends_what_was_changed<T: Stack>(server: &Server, stack: T, refusals: usize) {
    server.script().otherwise(testing::Answer::handler());
    server.script().on(method::UNARY, failures(refusals));
    let mut request = hello();
    request.call_options().idempotent();
    let call = tokio::spawn(async move { client(stack).unary(request).await });
    sleep(ms(1_500)).await;
    assert!(server.dials() >= 2, "it was dialled again");
    server.start().await;
    let answer = call.await.unwrap().unwrap();
    assert_eq!(answer.get_ref().text, "changed");
    let calls = server.calls();
    assert_eq!(calls.len(), refusals + 1);
    for call in calls.iter().skip(refusals) {
        assert_eq!(call.request, grpc_frame(&message("changed")));
    }
}

fn waiting() -> WaitForReadyLayer {
    WaitForReadyLayer::new().backoff(every(SECOND))
}

// CONTRACT B1, W2, R9
#[transports::test(start_paused = true)]
async fn a_body_changed_between_retry_and_wait_for_ready_is_what_each_dial_sends() {
    for refusals in [0, 2] {
        let server = Server::in_memory_unstarted();
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(policy()))
            .map_request(|request: Request<Body>| request.map(|_| changed()))
            .layer(waiting())
            .service(server.channel());
        sends_what_was_changed(&server, stack, refusals).await;
    }
}

// CONTRACT B1, W2: the context of the inbound call leaks into the call made for it
#[transports::test(start_paused = true)]
async fn a_gateway_that_forwards_extensions_sends_the_message_of_its_own_call() {
    let server = Server::in_memory_unstarted();
    let stack = || Resilience::new().wait_for_ready(waiting());
    let backend = stack().wrap(server.channel());
    let gateway = service_fn(move |request: Request<Body>| {
        let backend = backend.clone();
        async move {
            let (parts, body) = request.into_parts();
            let inbound = body.collect().await.unwrap().to_bytes();
            assert_eq!(inbound, grpc_frame(&message("hello")));
            backend.oneshot(Request::from_parts(parts, changed())).await
        }
    });
    sends_what_was_changed(&server, stack().wrap(gateway), 0).await;
}
