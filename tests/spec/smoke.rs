use std::time::Duration;

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::{GiveUp, Resilience, Resilient};
use test_protos::{EchoClient, EchoRequest};
use testing::{Answer, Server, method};
use tonic::Code;
use transports::Channel;

struct Shop {
    echo: EchoClient<Resilient<Channel>>,
}

#[transports::test(start_paused = true)]
async fn a_spawned_call_through_the_whole_stack_survives_two_refusals() {
    let server = Server::in_memory();
    server.script().on(
        method::UNARY,
        [
            Answer::status(Code::Unavailable, "one"),
            Answer::status(Code::Unavailable, "two"),
        ],
    );
    let channel = Resilience::new()
        .default_timeout(Duration::from_secs(5))
        .idempotent("/test.v1.Echo/*")
        .unwrap()
        .wrap(server.channel());
    let mut shop = Shop {
        echo: EchoClient::new(channel),
    };
    let answer = tokio::spawn(async move { shop.echo.unary(EchoRequest::default()).await });
    answer.await.unwrap().unwrap();
    let calls = server.calls_to(method::UNARY);
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[2].previous_attempts.as_deref(), Some("2"));
}

#[transports::test(start_paused = true)]
async fn an_undeclared_call_is_not_repeated_and_says_so() {
    let server = Server::in_memory();
    server.script().on(
        method::UNARY,
        [Answer::status(Code::Unavailable, "one").metadata("x-zone", "b")],
    );
    let channel = Resilience::new().wrap(server.channel());
    let mut request = tonic::Request::new(EchoRequest::default());
    request.call_options().max_attempts(3);
    let status = EchoClient::new(channel).unary(request).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "one")
    );
    assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
    assert_eq!(server.count(), 1);
}
