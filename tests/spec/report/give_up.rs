//! Why a call was not tried again, where no policy decided it.

use bytes::Bytes;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::retry::{Policies, RetryLayer, RetryPolicy};
use grpc_resilience::{CallReport, Error, GiveUp};
use testing::{Answer, Server};
use tonic::Code;
use tower::{Layer as _, ServiceExt as _};

use crate::support::{client, declared, for_each_stack, hello, policy, unavailable};

// CONTRACT R12
#[transports::test(start_paused = true)]
async fn a_call_that_is_never_retried_says_so_when_its_connection_is_lost() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::drop_connection());
    let mut switched_off = declared();
    switched_off.call_options().never_retry();
    let report = switched_off.call_report();
    let stack = RetryLayer::new(policy()).layer(server.channel());
    let status = client(stack).unary(switched_off).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::SwitchedOff));
    assert_eq!(report.give_up(), Some(GiveUp::SwitchedOff));

    let never = RetryLayer::new(Policies::new(RetryPolicy::never()));
    let status = client(never.layer(server.channel()))
        .unary(declared())
        .await;
    assert_eq!(
        GiveUp::find(&status.unwrap_err()),
        Some(GiveUp::SwitchedOff)
    );
    assert_eq!(server.count(), 2);
}

#[transports::test(start_paused = true)]
async fn an_answer_to_a_call_that_is_never_retried_is_untouched_and_its_report_knows_why() {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("no"));
    let mut request = declared();
    request.call_options().never_retry();
    let report = request.call_report();
    let stack = RetryLayer::new(policy()).layer(server.channel());
    let status = client(stack).unary(request).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), None);
    assert_eq!(report.give_up(), Some(GiveUp::SwitchedOff));
    assert_eq!(report.attempts(), 0);
}

// PEER-CASES MW-chained; DESIGN decision 13
// Over tonic alone: ours fails fast once two connections were lost unanswered (C4).
#[tokio::test(start_paused = true)]
async fn of_two_retry_layers_the_inner_one_stands_back_and_the_outer_one_says_why() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::drop_connection());
    let inner = RetryLayer::new(policy()).layer(server.channel());
    let (seen, between) = std::sync::mpsc::channel();
    let between_the_two = inner.map_err(move |error: Error| {
        seen.send(error.give_up()).unwrap();
        error
    });
    let outer = RetryLayer::new(policy()).layer(between_the_two);
    let status = client(outer).unary(declared()).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    assert_eq!(server.count(), 4);
    assert_eq!(CallReport::find(&status).unwrap().attempts(), 4);
    let inner: Vec<_> = between.try_iter().collect();
    assert_eq!(inner, [Some(GiveUp::Nested); 4]);
}

// CONTRACT H2; FIELD.md 3
#[transports::test(start_paused = true)]
async fn a_proxy_s_page_is_the_code_of_its_http_status_under_every_layer_and_option() {
    let server = Server::in_memory();
    let page = Bytes::from_static(b"<html>no healthy upstream</html>");
    let page = Answer::http(http::StatusCode::SERVICE_UNAVAILABLE, "text/html", page);
    server.script().otherwise(page);
    for_each_stack!(server.channel(), |name, stack| {
        // These two only annotate.
        let nevers: &[bool] = match name {
            "idempotency" | "budget" => &[],
            _ => &[false, true],
        };
        for &never in nevers {
            let mut request = hello();
            if never {
                request.call_options().never_retry();
            }
            let status = client(stack.clone()).unary(request).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{name}: {status:?}");
            let http = "HTTP status 503 Service Unavailable";
            assert!(status.message().contains(http), "{name}: {status:?}");
            assert_eq!(status.metadata().get("content-type").unwrap(), "text/html");
        }
    });
}

// CONTRACT R16: a page with 200 is no answer either.
#[transports::test(start_paused = true)]
async fn a_page_with_200_is_unknown_under_every_layer() {
    let server = Server::in_memory();
    let page = Answer::http(http::StatusCode::OK, "text/html", "<html>hello</html>");
    server.script().otherwise(page);
    for_each_stack!(server.channel(), |name, stack| {
        let status = client(stack).unary(hello()).await.unwrap_err();
        let code = match name {
            "idempotency" | "budget" => Code::Internal,
            _ => Code::Unknown,
        };
        assert_eq!(status.code(), code, "{name}: {status:?}");
    });
}
