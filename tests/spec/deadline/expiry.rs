//! What ends at the deadline, how it is said, and what is left then.

use std::time::Duration;

use grpc_resilience::__internal;
use grpc_resilience::call::{CallOptionsExt, Deadline};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{Error, GiveUp, Resilience};
use testing::{Answer, Server, method};
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};
use tower::{Layer, ServiceBuilder};

use crate::support::{
    SECOND, Slow, Stack, all_ended, client, every, has, hello, ms, ours, settle, sources,
    unavailable, untimed,
};

fn one_second() -> DeadlineLayer {
    DeadlineLayer::new().default_timeout(SECOND)
}

fn patient() -> RetryPolicy {
    RetryPolicy::new()
        .assume_idempotent()
        .backoff(every(ms(10)))
}

/// Makes a call that has to end at its deadline, to the millisecond.
async fn expiry<T: Stack>(stack: T) -> Status {
    let start = Instant::now();
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert_eq!(start.elapsed(), SECOND, "{status}");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    assert!(
        status
            .message()
            .starts_with("the deadline of 1s passed while "),
        "{status}"
    );
    status
}

fn says(status: &Status, phase: &str) {
    assert!(
        status.message().contains(phase),
        "{phase:?} not in {:?}",
        status.message()
    );
}

// CONTRACT D5, D10
#[transports::test(start_paused = true)]
async fn an_attempt_that_hangs_ends_at_the_deadline_and_is_cancelled_at_the_server() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    says(
        &expiry(one_second().layer(server.channel())).await,
        "waiting for the answer to an attempt",
    );
    let full = Resilience::new()
        .default_timeout(SECOND)
        .wrap(server.channel());
    says(&expiry(full).await, "waiting for the answer to an attempt");
    let calls = all_ended(&server).await;
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(testing::Call::cancelled));
}

#[transports::test(start_paused = true)]
async fn a_call_that_queues_for_a_service_that_is_never_ready_ends_at_the_deadline() {
    let server = Server::in_memory();
    let never = || Slow::never(server.channel());
    says(
        &expiry(one_second().layer(never())).await,
        "waiting for the service below to take the request",
    );
    let full = Resilience::new().default_timeout(SECOND).wrap(never());
    expiry(full).await;
    assert_eq!(server.count(), 0);
}

#[transports::test(start_paused = true)]
async fn an_attempt_is_no_longer_called_queued_once_a_slow_service_took_it() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let slow = Slow::by(ms(200), untimed(&server));
    says(
        &expiry(one_second().layer(slow)).await,
        "waiting for the answer to an attempt",
    );
}

// FIELD.md 5: tonic's own timer does not cover connecting
#[transports::test(start_paused = true)]
async fn a_connect_that_hangs_ends_at_the_deadline() {
    let server = Server::in_memory();
    server.set_dial_time(3_600 * SECOND);
    expiry(one_second().layer(server.channel())).await;
    expiry(
        Resilience::new()
            .default_timeout(SECOND)
            .wrap(server.channel()),
    )
    .await;
    assert_eq!(server.count(), 0);
}

// CONTRACT R14
#[transports::test(start_paused = true)]
async fn a_backoff_that_would_pass_the_deadline_returns_the_last_failure_at_once() {
    let server = Server::in_memory();
    server.script().always(
        method::UNARY,
        unavailable("busy").after(ms(300)).pushback("900"),
    );
    let stack = ServiceBuilder::new()
        .layer(one_second())
        .layer(RetryLayer::new(patient()))
        .service(server.channel());
    let start = Instant::now();
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert_eq!(start.elapsed(), ms(300));
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "busy")
    );
    assert_eq!(server.count(), 1);
}

// CONTRACT R17; DESIGN decision 12
#[transports::test(start_paused = true)]
async fn the_last_real_failure_is_in_the_source_chain_of_an_expiry() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, Answer::hang());
    let deadline_above = ServiceBuilder::new()
        .layer(one_second())
        .layer(RetryLayer::new(patient()))
        .service(server.channel());
    let full = Resilience::new()
        .default_timeout(SECOND)
        .retry(patient())
        .wrap(server.channel());
    keeps_the_last_failure(&server, deadline_above).await;
    keeps_the_last_failure(&server, full).await;
    let untimed_full = Resilience::new().default_timeout(SECOND).retry(patient());
    keeps_the_last_failure(&server, untimed_full.wrap(untimed(&server))).await;
}

// CONTRACT R17; DESIGN decision 12
// Over tonic alone: the cause is an error of tonic's.
#[tokio::test(start_paused = true)]
async fn a_failed_connect_before_the_attempt_that_hangs_stays_in_the_chain() {
    let server = Server::in_memory_unstarted();
    server.script().otherwise(Answer::hang());
    let stack = ServiceBuilder::new()
        .layer(one_second())
        .layer(WaitForReadyLayer::new().backoff(every(ms(100))))
        .service(server.channel());
    let back = async {
        tokio::time::sleep(ms(50)).await;
        server.start().await;
    };
    let (status, ()) = tokio::join!(expiry(stack), back);
    says(&status, "waiting for the answer to an attempt");
    assert!(has::<tonic::ConnectError>(&status), "{}", sources(&status));
}

async fn keeps_the_last_failure<T: Stack>(server: &Server, stack: T) {
    let busy = unavailable("busy").metadata("x-zone", "b").details("why");
    server
        .script()
        .on(method::UNARY, [unavailable("first"), busy]);
    let status = expiry(stack).await;
    says(&status, "waiting for the answer to an attempt");
    says(&status, "busy");
    assert!(sources(&status).contains("busy"), "{}", sources(&status));
    let found = ours(&status);
    let last = found.last().unwrap();
    assert_eq!(last.status().message(), "busy");
    assert_eq!(last.metadata()["x-zone"], "b");
    assert_eq!(last.status().details().as_ref(), b"why");
}

// CONTRACT D8; PEER-CASES MW-context-error
#[transports::test(start_paused = true)]
async fn the_caller_s_own_expiry_is_never_retried() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let policy = patient()
        .retry_on(Code::DeadlineExceeded)
        .retry_on(Code::Cancelled);
    let stack = ServiceBuilder::new()
        .layer(one_second())
        .layer(RetryLayer::new(policy.clone()))
        .layer(WaitForReadyLayer::new())
        .service(server.channel());
    expiry(stack).await;
    // Without a deadline layer it is tonic's timer that ends the caller's `set_timeout`.
    let mut request = hello();
    request.set_timeout(SECOND);
    let alone = RetryLayer::new(policy).layer(server.channel());
    let status = client(alone).unary(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    settle().await;
    assert_eq!(server.count(), 2);
}

// CONTRACT D8
#[transports::test(start_paused = true)]
async fn a_server_s_deadline_exceeded_is_retried_only_if_the_policy_says_so() {
    let server = Server::in_memory();
    let early = || [Answer::status(Code::DeadlineExceeded, "a backend was slow")];
    let stack = |policy| {
        let retry = RetryLayer::new(policy);
        ServiceBuilder::new()
            .layer(one_second())
            .layer(retry)
            .service(server.channel())
    };
    server.script().on(method::UNARY, early());
    let status = client(stack(patient())).unary(hello()).await.unwrap_err();
    assert_eq!(status.message(), "a backend was slow");
    assert_eq!(server.count(), 1);
    server.script().on(method::UNARY, early());
    let opted_in = patient().retry_on(Code::DeadlineExceeded);
    client(stack(opted_in)).unary(hello()).await.unwrap();
    assert_eq!(server.count(), 3);
}

// CONTRACT D8, R10; PEER-CASES CORE-per-attempt-timeout, GAX-attempt-timeout, MW-per-retry-timeout
#[transports::test(start_paused = true)]
async fn a_deadline_below_the_retry_layer_bounds_each_attempt_by_itself() {
    let server = Server::in_memory();
    server
        .script()
        .on(method::UNARY, [Answer::hang(), Answer::hang()]);
    let policy = patient().retry_on(Code::DeadlineExceeded);
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(10 * SECOND))
        .layer(RetryLayer::new(policy))
        .layer(one_second())
        .service(server.channel());
    let start = Instant::now();
    client(stack).unary(hello()).await.unwrap();
    assert_eq!(start.elapsed(), ms(2_020));
    let calls = all_ended(&server).await;
    assert_eq!(calls[2].previous_attempts.as_deref(), Some("2"));
    assert!(calls[0].cancelled() && calls[1].cancelled());
}

// CONTRACT D11; PEER-CASES JAVA-deadline-race
#[transports::test(start_paused = true)]
async fn a_server_s_cancelled_at_the_deadline_is_the_deadline() {
    let cancelled = |at| Answer::status(Code::Cancelled, "Timeout expired").after(ms(at));
    let in_trailers = |at| Answer::status_in_trailers(Code::Cancelled, "").after(ms(at));
    let retried = patient().retry_on(Code::Cancelled).backoff(every(ms(1)));
    for answer in [cancelled, in_trailers as fn(u64) -> Answer] {
        for at in [995, 999] {
            let server = Server::in_memory();
            server.script().on(method::UNARY, [answer(at)]);
            let alone = one_second().layer(server.channel());
            let status = client(alone).unary(hello()).await.unwrap_err();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{at}");
            server.script().on(method::UNARY, [answer(at)]);
            let full = Resilience::new()
                .default_timeout(SECOND)
                .retry(retried.clone());
            let status = client(full.wrap(server.channel()))
                .unary(hello())
                .await
                .unwrap_err();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{at}");
            assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
            assert_eq!(server.count(), 2);
        }
        let server = Server::in_memory();
        server.script().on(method::UNARY, [answer(900)]);
        let alone = one_second().layer(server.channel());
        let status = client(alone).unary(hello()).await.unwrap_err();
        assert_eq!(status.code(), Code::Cancelled);
    }
}

// CONTRACT D11
#[tokio::test(start_paused = true)]
async fn tonic_s_own_timer_near_the_deadline_is_the_deadline_and_before_it_the_attempt_s() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let channel = |limit| server.connect_lazy(&server.endpoint().timeout(ms(limit)));
    let status = client(one_second().layer(channel(996)))
        .unary(hello())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    let status = client(one_second().layer(channel(400)))
        .unary(hello())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(GiveUp::find(&status), None);
    assert!(has::<tonic::TimeoutExpired>(&status));
}

#[transports::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_never_leaves() {
    let server = Server::in_memory();
    let full = Resilience::new().wrap(server.channel());
    let alone = DeadlineLayer::new().layer(server.channel());
    let spent = || {
        let mut request = hello();
        request.set_timeout(Duration::ZERO);
        request
    };
    let inherited = || {
        let mut request = hello();
        let deadline = Deadline::after(Instant::now() - SECOND, SECOND);
        __internal::bound(request.extensions_mut(), deadline);
        request
    };
    let optional = || {
        let mut request = hello();
        request.call_options().timeout(Duration::ZERO);
        request
    };
    let start = Instant::now();
    for request in [spent, inherited, optional as fn() -> _] {
        for status in [
            client(full.clone()).unary(request()).await.unwrap_err(),
            client(alone.clone()).unary(request()).await.unwrap_err(),
        ] {
            assert_eq!(status.code(), Code::DeadlineExceeded);
            assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
        }
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!((server.count(), server.dials()), (0, 0));
}

// CONTRACT D10
#[transports::test(start_paused = true)]
async fn expiry_drops_the_attempt_even_if_the_future_is_kept() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let mut stack = one_second().layer(untimed(&server));
    let request = http::Request::post("http://in-memory.test/test.v1.Echo/Unary")
        .body(tonic::body::Body::empty())
        .unwrap();
    let service = tower::ServiceExt::<http::Request<tonic::body::Body>>::ready(&mut stack)
        .await
        .unwrap();
    let mut call = Box::pin(tower::Service::call(service, request));
    let error: Error = call.as_mut().await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded.into());
    assert!(all_ended(&server).await[0].cancelled());
    drop(call);
}

// CONTRACT R13, B5
// Over tonic alone: ours keeps a connection's task between calls.
#[tokio::test(start_paused = true)]
async fn a_call_dropped_at_any_point_leaves_no_task_behind() {
    let server = Server::in_memory();
    let stack = Resilience::new()
        .default_timeout(5 * SECOND)
        .retry(patient().backoff(every(ms(7))))
        .wait_for_ready(WaitForReadyLayer::new().backoff(every(ms(9))))
        .wrap(server.channel());
    client(stack.clone()).unary(hello()).await.unwrap();
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    settle().await;
    let before = alive();
    server.script().otherwise(unavailable("busy").after(ms(3)));
    for drop_after in 0..33 {
        let call = timeout(ms(drop_after), client(stack.clone()).unary(hello())).await;
        assert!(call.is_err(), "done after {drop_after} ms");
        let calls = server.count();
        all_ended(&server).await;
        settle().await;
        assert_eq!(alive(), before, "dropped after {drop_after} ms");
        tokio::time::sleep(ms(50)).await;
        assert_eq!(server.count(), calls, "went on after {drop_after} ms");
    }
    server.stop();
    for drop_after in 0..33 {
        let call = timeout(ms(drop_after), client(stack.clone()).unary(hello())).await;
        assert!(call.is_err(), "done after {drop_after} ms");
        let dials = server.dials();
        tokio::time::sleep(ms(50)).await;
        assert_eq!(server.dials(), dials, "dialled on after {drop_after} ms");
        assert!(alive() <= before, "dropped after {drop_after} ms");
    }
}
