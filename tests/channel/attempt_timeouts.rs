//! The timeout of attempts over the channel.

use std::time::Duration;

use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::{CallOptionsExt as _, CallReport, Resilience, RetryPolicy};
use test_protos::{EchoClient, EchoRequest};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::{Code, Request};

use crate::common::MS;
use crate::common::manner::Manner;
use crate::common::net::Net;

const S: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_millis(300);
/// With one failure for each `LIMIT` of the wait they would use up any budget.
const CALLS: usize = 60;

fn stack() -> Resilience {
    Resilience::new()
        .default_timeout(20 * S)
        .attempt_timeout(AttemptTimeoutLayer::new(LIMIT).unwrap())
        .retry(RetryPolicy::new().max_attempts(2).unwrap())
        .idempotent("/test.v1.Echo/*")
        .unwrap()
}

// CONTRACT W2: the stack's order
#[tokio::test(start_paused = true)]
async fn waiting_for_a_connection_is_no_attempt_and_takes_no_budget() {
    let net = Net::default();
    let client = EchoClient::new(stack().wrap(net.builder().build().unwrap()));
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let mut client = client.clone();
        calls.spawn(async move {
            let mut request = Request::new(EchoRequest::default());
            let report: CallReport = request.call_report();
            (client.unary(request).await, report)
        });
    }
    sleep(5 * S + 100 * MS).await;
    let _host = net.serve("host");
    for (answer, report) in calls.join_all().await {
        answer.unwrap();
        assert_eq!(report.attempts(), 1, "{report}");
    }
}

// CONTRACT W2, D12: the attempt is bounded once it has a connection
#[tokio::test(start_paused = true)]
async fn an_attempt_that_waited_for_a_connection_still_has_a_timeout() {
    let net = Net::default();
    let mut client = EchoClient::new(stack().wrap(net.builder().build().unwrap()));
    let call = tokio::spawn(async move { client.unary(EchoRequest::default()).await });
    sleep(4 * LIMIT).await;
    let silent = Manner::taking(60_000);
    let _host = net.serve_as("host", &silent);
    while silent.calls() == 0 {
        sleep(MS).await;
    }
    let sent = Instant::now();
    while silent.calls() == 1 {
        sleep(MS).await;
    }
    assert!(sent.elapsed() >= LIMIT, "after {:?}", sent.elapsed());
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    // The last attempt has what is left of the call.
    assert_eq!(CallReport::find(&status).unwrap().attempts(), 2);
    assert_eq!(silent.calls(), 2);
}

// CONTRACT W2, D5
#[tokio::test(start_paused = true)]
async fn a_call_that_only_waits_ends_at_its_deadline() {
    let net = Net::default();
    let mut client = EchoClient::new(stack().wrap(net.builder().build().unwrap()));
    let start = Instant::now();
    let status = client.unary(EchoRequest::default()).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 20);
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(status.message().contains("refused"), "{status}");
    assert_eq!(CallReport::find(&status).unwrap().attempts(), 1);
}
