//! The caller's timeout and what is said of a call that waited.

use std::sync::Arc;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::{CallReport, Resilience};
use testing::Server;
use tower::{Layer as _, ServiceBuilder};

use super::{lost, waiting};
use crate::support::{SECOND, Slow, client, hello, ms, policy, timeouts, undeclared};

// CONTRACT R2
#[transports::test(start_paused = true)]
async fn a_timeout_by_option_is_written_whether_the_gate_is_open_or_not() {
    let server = Server::in_memory();
    let stack = waiting().fail_fast().layer(server.channel());
    for _ in 0..2 {
        let mut request = undeclared();
        request.call_options().timeout(SECOND);
        client(stack.clone()).unary(request).await.unwrap();
    }
    let written: Vec<_> = server
        .calls()
        .iter()
        .map(|it| it.timeout.is_some())
        .collect();
    assert_eq!(written, [true, true]);
}

// CONTRACT D2
#[transports::test(start_paused = true)]
async fn what_is_sent_is_not_longer_than_what_is_left() {
    let server = Server::in_memory();
    let slow = Slow::by(ms(400), server.channel());
    let stack = waiting().fail_fast().layer(slow);
    for _ in 0..2 {
        let mut request = undeclared();
        request.set_timeout(SECOND);
        client(stack.clone()).unary(request).await.unwrap();
    }
    let sent = timeouts(&server.calls());
    assert!(sent.iter().all(|it| it.unwrap() <= 600_000), "{sent:?}");
}

// CONTRACT R17, W2
#[transports::test(start_paused = true)]
async fn an_expiry_after_a_slow_failed_dial_names_it() {
    let server = Arc::new(Server::in_memory());
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .layer(waiting())
        .service(server.channel());
    lost(&server, stack.clone(), 60 * SECOND).await;
    server.set_dial_time(3 * SECOND);
    let mut request = undeclared();
    request.set_timeout(2 * SECOND);
    let status = client(stack).unary(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded, "{status:?}");
    assert!(status.message().contains("connection refused"), "{status}");
}

// DESIGN decision 13
#[transports::test(start_paused = true)]
async fn a_success_that_had_to_wait_for_its_dial_has_a_report() {
    let server = Server::in_memory();
    server.set_dial_time(3 * SECOND);
    let stack = Resilience::new().wrap(server.channel());
    let answer = client(stack).unary(hello()).await.unwrap();
    assert!(answer.extensions().get::<CallReport>().is_some());
}
