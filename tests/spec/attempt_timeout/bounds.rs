//! Which attempts are bounded, from when, by how much, and what is said of the end.

use std::time::Duration;

use grpc_resilience::GiveUp;
use grpc_resilience::attempt_timeout::{AttemptTimeoutLayer, ZeroTimeout};
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::channel::DialError;
use grpc_resilience::classify::Progress;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use testing::{Answer, Server, method};
use tokio::time::{Instant, sleep};
use tonic::Code;
use tower::{Layer, ServiceBuilder};
use transports::Transport;

use super::{LIMIT, TOLD, limit, policy, timed_out};
use crate::support::{
    SECOND, Slow, all_ended, client, declared, has, hello, ms, settle, sources, timeouts,
    unavailable, untimed,
};

// CONTRACT D10; DESIGN decision 12
#[transports::test(start_paused = true)]
async fn an_attempt_that_hangs_ends_at_its_timeout_and_is_cancelled_at_the_server() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let start = Instant::now();
    let mut alone = client(limit().layer(untimed(&server)));
    let status = alone.unary(hello()).await.unwrap_err();
    assert_eq!(start.elapsed(), LIMIT);
    assert_eq!(timed_out(&status), Progress::Reached);
    assert_eq!(
        status.message(),
        "the attempt's timeout of 300ms passed while waiting for the answer to an attempt"
    );
    assert_eq!(GiveUp::find(&status), None, "no layer decided anything");
    settle().await;
    assert!(server.calls()[0].cancelled());
}

// CONTRACT D10
#[transports::test(start_paused = true)]
async fn the_end_drops_the_attempt_even_if_the_future_is_kept() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let mut stack = limit().layer(untimed(&server));
    let request = http::Request::post("http://in-memory.test/test.v1.Echo/Unary")
        .body(tonic::body::Body::empty())
        .unwrap();
    let mut call = Box::pin(tower::Service::call(&mut stack, request));
    call.as_mut().await.unwrap_err();
    settle().await;
    assert!(server.calls()[0].cancelled());
    drop(call);
}

// PEER-CASES GAX-attempt-timeout; CONTRACT D2
#[transports::test(start_paused = true)]
async fn the_lesser_of_the_attempt_s_timeout_and_what_is_left_is_sent() {
    let server = Server::in_memory();
    let slow = || unavailable("busy").after(ms(250));
    server
        .script()
        .on(method::UNARY, [slow(), slow(), slow(), slow()]);
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(ms(1_000)))
        .layer(RetryLayer::new(policy()))
        .layer(limit())
        .service(server.channel());
    client(stack).unary(declared()).await.unwrap_err();
    // The last one begins at 780 ms.
    let sent = [TOLD, TOLD, TOLD, Some(220_000)];
    assert_eq!(timeouts(&server.calls()), sent);
}

// PEER-CASES GAX-attempt-timeout; CONTRACT R2: without a deadline layer the caller's own counts
#[transports::test(start_paused = true)]
async fn a_shorter_timeout_of_the_caller_s_stays() {
    let server = Server::in_memory();
    let mut alone = client(limit().layer(server.channel()));
    for (timeout, sent) in [
        (ms(100), 100_000),
        (ms(300), 300_000),
        (ms(310), 310_000),
        (SECOND, 315_000),
    ] {
        server.clear();
        let mut request = hello();
        request.set_timeout(timeout);
        alone.unary(request).await.unwrap();
        let mut request = hello();
        request.call_options().timeout(timeout);
        alone.unary(request).await.unwrap();
        assert_eq!(timeouts(&server.calls()), [Some(sent), Some(sent)]);
    }
}

// CONTRACT D4
#[transports::test(start_paused = true)]
async fn a_malformed_timeout_of_the_caller_s_goes_up_as_it_is() {
    let server = Server::in_memory();
    let mut request = hello();
    let malformed = "soon".parse().unwrap();
    request.metadata_mut().insert("grpc-timeout", malformed);
    let mut alone = client(limit().layer(server.channel()));
    // tonic's server takes it for none.
    alone.unary(request).await.unwrap();
    assert_eq!(server.calls()[0].timeout.as_deref(), Some("soon"));
}

// CONTRACT D2, I1: queueing is part of the attempt
#[transports::test(start_paused = true)]
async fn an_attempt_that_queued_is_sent_with_what_is_left_of_it() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let start = Instant::now();
    let slow = Slow::by(ms(120), server.channel());
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(10 * SECOND))
        .layer(limit())
        .service(slow);
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert_eq!(start.elapsed(), LIMIT);
    assert_eq!(timed_out(&status), Progress::Reached);
    assert_eq!(timeouts(&server.calls()), [Some(195_000)]);
}

// CONTRACT I1, I4
#[transports::test(start_paused = true)]
async fn an_attempt_that_was_never_handed_on_was_not_sent_and_is_repeated_undeclared() {
    let server = Server::in_memory();
    let start = Instant::now();
    let never = || Slow::never(server.channel());
    let status = client(limit().layer(never())).unary(hello()).await;
    let status = status.unwrap_err();
    assert_eq!(start.elapsed(), LIMIT);
    assert_eq!(timed_out(&status), Progress::NotSent);
    assert!(
        status
            .message()
            .ends_with("waiting for the service below to take the request")
    );

    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .layer(limit())
        .service(never());
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    assert_eq!(server.count(), 0);
}

// FIELD.md 5: tonic's own timer does not cover connecting
#[transports::test(start_paused = true)]
async fn a_dial_is_part_of_the_attempt() {
    let server = Server::in_memory();
    server.set_dial_time(3_600 * SECOND);
    let start = Instant::now();
    let status = client(limit().layer(server.channel())).unary(hello()).await;
    // Ours knows that it sent nothing.
    let progress = match Transport::current() {
        Transport::Tonic => Progress::Reached,
        Transport::Ours => Progress::NotSent,
    };
    assert_eq!(timed_out(&status.unwrap_err()), progress);
    assert_eq!(start.elapsed(), LIMIT);
}

// CONTRACT W2: the stack's order
#[transports::test(start_paused = true)]
async fn waiting_for_the_channel_is_no_attempt() {
    let server = Server::in_memory_unstarted();
    let stack = grpc_resilience::Resilience::new()
        .attempt_timeout(limit())
        .wrap(server.channel());
    let call = tokio::spawn(async move { client(stack).unary(hello()).await });
    sleep(5 * LIMIT).await;
    server.start().await;
    call.await.unwrap().unwrap();
    assert_eq!(timeouts(&server.calls()), [TOLD]);
}

// CONTRACT W3: nobody answered
// Over tonic alone: the probe is a call of the layer's; over ours no call probes the channel.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_ends_while_it_dials_does_not_say_that_the_channel_is_up() {
    let server = Server::in_memory_unstarted();
    let stack = ServiceBuilder::new()
        .layer(WaitForReadyLayer::new().fail_fast())
        .layer(limit())
        .service(server.channel());
    client(stack.clone()).unary(hello()).await.unwrap_err();
    server.set_dial_time(3_600 * SECOND);
    sleep(2 * SECOND).await;
    let status = client(stack.clone()).unary(hello()).await.unwrap_err();
    timed_out(&status);
    // One call tests the channel again, and the other one does not.
    let (mut tests, mut fails) = (client(stack.clone()), client(stack));
    let (tested, failed) = tokio::join!(tests.unary(hello()), fails.unary(hello()));
    timed_out(&tested.unwrap_err());
    assert_eq!(failed.unwrap_err().code(), Code::Unavailable);
}

// The wait for the channel ends with the attempt that it is part of; CONTRACT I1
#[transports::test(start_paused = true)]
async fn a_layer_below_waits_until_the_attempt_s_end_and_says_how_far_it_got() {
    let server = Server::in_memory_unstarted();
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(10 * SECOND))
        .layer(limit())
        .layer(WaitForReadyLayer::new())
        .service(server.channel());
    let start = Instant::now();
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert_eq!(start.elapsed(), LIMIT);
    assert_eq!(timed_out(&status), Progress::NotSent);
    assert!(status.message().contains("to become ready"), "{status}");
    let has_cause = match Transport::current() {
        Transport::Tonic => has::<tonic::ConnectError>(&status),
        Transport::Ours => has::<DialError>(&status),
    };
    assert!(has_cause, "{}", sources(&status));
}

// CONTRACT D11: what the deadline limits is the deadline's
#[transports::test(start_paused = true)]
async fn an_attempt_that_ends_with_the_call_is_the_call_s_expiry() {
    for total in [ms(250), LIMIT, ms(304)] {
        let server = Server::in_memory();
        server.script().otherwise(Answer::hang());
        let stack = ServiceBuilder::new()
            .layer(DeadlineLayer::new().default_timeout(total))
            .layer(RetryLayer::new(policy()))
            .layer(limit())
            .service(untimed(&server));
        let start = Instant::now();
        let status = client(stack).unary(declared()).await.unwrap_err();
        assert_eq!(start.elapsed(), total.min(LIMIT));
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(status.message().starts_with("the deadline of"), "{status}");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
        settle().await;
        assert_eq!(server.count(), 1, "{total:?}");
    }
}

#[transports::test(start_paused = true)]
async fn the_last_attempt_that_the_deadline_allows_may_use_what_is_left() {
    // Before each attempt 1000, 690 and 380 ms are left, or 900 and 590.
    for (total, starts) in [(1_000, vec![0, 310, 620]), (900, vec![0, 310])] {
        let server = Server::in_memory();
        server.script().otherwise(Answer::hang());
        let stack = ServiceBuilder::new()
            .layer(DeadlineLayer::new().default_timeout(ms(total)))
            .layer(RetryLayer::new(policy()))
            .layer(limit().unbounded_last_attempt())
            .service(server.channel());
        let start = Instant::now();
        let status = client(stack).unary(declared()).await.unwrap_err();
        assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
        assert_eq!(start.elapsed(), ms(total));
        let calls = all_ended(&server).await;
        let seen: Vec<_> = calls
            .iter()
            .map(|call| (call.at - start).as_millis())
            .collect();
        assert_eq!(seen, starts);
        let mut sent = vec![TOLD; starts.len()];
        *sent.last_mut().unwrap() = Some(1_000 * (u128::from(total) - starts.last().unwrap()));
        assert_eq!(timeouts(&calls), sent);
    }
}

#[transports::test(start_paused = true)]
async fn a_call_without_a_deadline_has_no_last_attempt() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let layer = limit().unbounded_last_attempt();
    let status = client(layer.layer(server.channel())).unary(hello()).await;
    timed_out(&status.unwrap_err());
}

#[transports::test(start_paused = true)]
async fn a_call_s_own_timeout_replaces_the_layer_s_and_needs_the_layer() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let by_option = AttemptTimeoutLayer::default().layer(server.channel());
    for mut client in [client(limit().layer(server.channel())), client(by_option)] {
        let mut request = hello();
        request.call_options().attempt_timeout(2 * SECOND);
        let start = Instant::now();
        timed_out(&client.unary(request).await.unwrap_err());
        assert_eq!(start.elapsed(), 2 * SECOND);
    }
    server.clear();
    server.script().clear();
    let mut request = hello();
    request.call_options().no_attempt_timeout();
    client(limit().layer(server.channel()))
        .unary(request)
        .await
        .unwrap();
    let mut request = hello();
    request.call_options().attempt_timeout(SECOND);
    client(server.channel()).unary(request).await.unwrap();
    assert_eq!(timeouts(&server.calls()), [None, None]);
}

// CONTRACT D7
#[transports::test(start_paused = true)]
async fn no_time_is_an_error_and_the_longest_time_does_not_overflow() {
    let refused = AttemptTimeoutLayer::new(Duration::ZERO).unwrap_err();
    assert!(matches!(refused, ZeroTimeout { .. }));
    let server = Server::in_memory();
    for layer in [
        AttemptTimeoutLayer::new(Duration::MAX).unwrap(),
        AttemptTimeoutLayer::new(Duration::MAX)
            .unwrap()
            .unbounded_last_attempt(),
    ] {
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(policy()))
            .layer(layer)
            .service(server.channel());
        client(stack.clone()).unary(declared()).await.unwrap();
        let mut request = declared();
        request.set_timeout(SECOND);
        client(stack.clone()).unary(request).await.unwrap();
        let mut request = declared();
        request.call_options().attempt_timeout(Duration::ZERO);
        let status = client(stack).unary(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(GiveUp::find(&status), Some(GiveUp::InvalidCall));
    }
    assert_eq!(server.count(), 4);
}
