//! Servers that refuse the token.

use std::time::Duration;

use grpc_resilience::RetryPolicy;
use grpc_resilience::grpc::Code;
use grpc_resilience::streams::{OnEnd, OnLost};
use tokio::time::timeout;
use tonic::Status;

use crate::net::Net;
use crate::numbers::{Service, Step, steps};
use crate::{GAP, all, numbers, take};

const THREE_MINUTES: Duration = Duration::from_secs(180);

/// Sends two numbers and breaks off; refuses each token with this code.
fn refusing(code: tonic::Code) -> Service {
    Service::new(move |asked| match asked.after {
        Some(_) => Err(Status::new(code, "no such place")),
        None => steps([
            Step::Token(1),
            Step::Token(2),
            Step::Fail(Status::unavailable("restarting")),
        ]),
    })
}

/// The numbers after which calls asked in three minutes.
async fn asked_for_ever(
    code: tonic::Code,
    on_lost: OnLost,
    policy: RetryPolicy,
) -> Vec<Option<u32>> {
    let service = refusing(code);
    let net = Net::new(&service);
    let builder = numbers(net.channel()).on_lost(on_lost).policy(policy);
    let mut stream = builder.on_end(OnEnd::Reopen).build().unwrap();
    let _ = timeout(THREE_MINUTES, all(&mut stream)).await;
    service.seen.asked()
}

// CONTRACT S3, S4
#[transports::test(start_paused = true)]
async fn a_server_that_refuses_the_token_for_ever_gets_at_most_12_requests_in_3_minutes() {
    let codes = [
        tonic::Code::OutOfRange,
        tonic::Code::FailedPrecondition,
        tonic::Code::InvalidArgument,
        tonic::Code::NotFound,
        tonic::Code::Internal,
        tonic::Code::Unknown,
    ];
    for code in codes {
        for on_lost in [OnLost::Fail, OnLost::Restart, OnLost::Skip] {
            for policy in [
                RetryPolicy::until_deadline(),
                RetryPolicy::until_deadline().retry_on(Code::Internal),
            ] {
                let asked = asked_for_ever(code, on_lost, policy).await;
                let of_token = asked.iter().filter(|it| it.is_some()).count();
                assert!(asked.len() <= 12, "{code:?} {on_lost:?}: {asked:?}");
                assert!(of_token >= 1, "{code:?} {on_lost:?}: {asked:?}");
            }
        }
    }
}

// CONTRACT S3
#[transports::test(start_paused = true)]
async fn a_token_that_is_refused_three_times_is_lost() {
    for code in [tonic::Code::NotFound, tonic::Code::Internal] {
        let service = refusing(code);
        let net = Net::new(&service);
        let mut stream = numbers(net.channel()).build().unwrap();
        assert_eq!(all(&mut stream).await, [Ok(1), Ok(2), Err(code)]);
        let (first, token) = (None, Some(2));
        assert_eq!(service.seen.asked(), [first, token, token, token]);
        let report = stream.report();
        assert_eq!(report.refusals(), 3);
        assert_eq!(report.give_up().unwrap().name(), "token_lost");
    }
}

// CONTRACT S3
#[transports::test(start_paused = true)]
async fn a_new_token_between_refusals_starts_their_count_over() {
    let service = Service::new(|asked| match asked.call % 3 {
        _ if asked.call > 30 => steps([]),
        0 => steps([
            Step::Token(asked.first()),
            Step::Fail(Status::unavailable("restarting")),
        ]),
        _ => Err(Status::internal("not now")),
    });
    let net = Net::new(&service);
    let mut stream = numbers(net.channel()).build().unwrap();
    let seen = all(&mut stream).await;
    assert_eq!(seen, (1..=11).map(Ok).collect::<Vec<_>>());
}

// CONTRACT S3, S4
#[transports::test(start_paused = true)]
async fn an_original_request_that_is_refused_fails_at_once() {
    let service = Service::new(|_| Err(Status::not_found("no such topic")));
    let net = Net::new(&service);
    let builder = numbers(net.channel()).on_lost(OnLost::Restart);
    let mut stream = builder.build().unwrap();
    assert_eq!(all(&mut stream).await, [Err(tonic::Code::NotFound)]);
    assert_eq!(service.seen.count(), 1);
}

// CONTRACT S3
#[transports::test(start_paused = true)]
async fn an_original_request_that_always_breaks_with_internal_fails_after_three() {
    let service = Service::new(|_| Err(Status::internal("bug")));
    let net = Net::new(&service);
    let builder = numbers(net.channel())
        .on_lost(OnLost::Restart)
        .policy(RetryPolicy::until_deadline().retry_on(Code::Internal));
    let mut stream = builder.build().unwrap();
    assert_eq!(all(&mut stream).await, [Err(tonic::Code::Internal)]);
    assert_eq!(service.seen.count(), 3);
}

// CONTRACT S3
#[transports::test(start_paused = true)]
async fn restarts_after_refused_tokens_are_at_least_a_minute_apart() {
    let service = refusing(tonic::Code::OutOfRange);
    let net = Net::new(&service);
    let builder = numbers(net.channel()).on_lost(OnLost::Restart);
    let mut stream = builder.build().unwrap();
    assert_eq!(
        take(&mut stream, 9).await,
        [1, 2, GAP, 1, 2, GAP, 1, 2, GAP]
    );
    let calls = service.seen.calls.lock().unwrap().clone();
    let restarts: Vec<_> = calls.iter().filter(|it| it.1.after.is_none()).collect();
    assert!(restarts[1].0 - restarts[0].0 < Duration::from_secs(1));
    let space = restarts[2].0 - restarts[1].0;
    assert!((60..=72).contains(&space.as_secs()), "{space:?}");
}

// CONTRACT S3
#[transports::test(start_paused = true)]
async fn a_token_that_was_accepted_between_lets_the_next_restart_go_at_once() {
    // Refuses each second token.
    let service = Service::new(|asked| match (asked.after, asked.call % 3) {
        (Some(_), 2) => Err(Status::out_of_range("compacted")),
        _ => steps([
            Step::Token(asked.first()),
            Step::Fail(Status::unavailable("restarting")),
        ]),
    });
    let net = Net::new(&service);
    let builder = numbers(net.channel()).on_lost(OnLost::Restart);
    let mut stream = builder.build().unwrap();
    assert_eq!(
        take(&mut stream, 9).await,
        [1, 2, GAP, 1, 2, GAP, 1, 2, GAP]
    );
    assert!(service.seen.waits().iter().all(|it| it.as_secs() < 1));
}
