//! How streams end, and what follows.

use std::time::Duration;

use grpc_resilience::backoff::{Exponential, Jitter};
use grpc_resilience::grpc::Code;
use grpc_resilience::streams::OnEnd;
use grpc_resilience::{GiveUp, RetryPolicy};
use testing::retry_info;
use tonic::{Code as TonicCode, Status};

use crate::net::Net;
use crate::numbers::{Service, Step, steps};
use crate::{all, ms, numbers, take};

/// Waits 100, 200, 400 ms and so on, without chance.
fn policy() -> RetryPolicy {
    let backoff = Exponential::new(ms(100)).unwrap().jitter(Jitter::None);
    RetryPolicy::until_deadline().backoff(backoff)
}

/// Two numbers a call, and then this, up to the number 6.
fn two_and(end: impl Fn() -> Option<Step> + Send + Sync + 'static) -> Service {
    Service::new(move |asked| {
        let first = asked.first();
        let numbers = (first..7).take(2).map(Step::Token);
        let end = (first < 7).then(&end).flatten();
        steps(numbers.chain(end))
    })
}

// CONTRACT S1, S2
#[transports::test(start_paused = true)]
async fn an_error_reopens_the_stream_at_the_last_token() {
    let service = two_and(|| Some(Step::Fail(Status::unavailable("restarting"))));
    let net = Net::new(&service);
    let mut stream = numbers(net.channel()).build().unwrap();
    let whole: Vec<_> = (1..7).map(Ok).collect();
    assert_eq!(all(&mut stream).await, whole);
    let asked = [None, Some(2), Some(4), Some(6)];
    assert_eq!(service.seen.asked(), asked);
    assert_eq!(stream.token(), Some(&6));
}

// CONTRACT S2
#[transports::test(start_paused = true)]
async fn a_clean_end_completes_the_stream_unless_it_is_to_go_on() {
    let service = two_and(|| None);
    let net = Net::new(&service);
    let mut stream = numbers(net.channel()).build().unwrap();
    assert_eq!(all(&mut stream).await, [Ok(1), Ok(2)]);
    assert_eq!(service.seen.count(), 1);
    assert_eq!(stream.report().code(), Some(Code::Ok));
    assert!(stream.next().await.is_none(), "it stays over");
}

// CONTRACT S2, S4
#[transports::test(start_paused = true)]
async fn after_a_clean_end_the_next_stream_opens_at_once_if_there_was_progress() {
    let service = two_and(|| None);
    let net = Net::new(&service);
    let builder = numbers(net.channel())
        .on_end(OnEnd::Reopen)
        .policy(policy());
    let mut stream = builder.build().unwrap();
    assert_eq!(take(&mut stream, 6).await, [1, 2, 3, 4, 5, 6]);
    let three = tokio::time::timeout(ms(650), stream.next()).await;
    assert!(three.is_err());
    let waits = service.seen.waits();
    // No number came any more, so the backoff begins.
    let zero = Duration::ZERO;
    assert_eq!(waits, [zero, zero, zero, ms(100), ms(200)]);
}

// CONTRACT S4
#[transports::test(start_paused = true)]
async fn attempts_end_after_clean_ends_without_progress() {
    let service = Service::new(|_| steps([]));
    let net = Net::new(&service);
    let policy = policy().max_attempts(4).unwrap();
    let builder = numbers(net.channel()).on_end(OnEnd::Reopen).policy(policy);
    let mut stream = builder.build().unwrap();
    assert_eq!(all(&mut stream).await, [Err(TonicCode::Unavailable)]);
    assert_eq!(service.seen.waits(), [ms(100), ms(200), ms(400)]);
    let give_up = stream.report().give_up();
    assert_eq!(give_up, Some(GiveUp::AttemptsExhausted));
}

// CONTRACT S4
#[transports::test(start_paused = true)]
async fn only_a_new_token_starts_attempts_and_backoff_over() {
    // Each opening succeeds and repeats a part of a message; every fifth brings a new token.
    let service = Service::new(|asked| {
        let new = (asked.call % 5 == 4).then_some(Step::Token(asked.first()));
        let broken = Step::Fail(Status::unavailable("restarting"));
        let again = asked.after.map(Step::Token);
        let part = Step::Part(asked.first());
        steps([part].into_iter().chain(again).chain(new).chain([broken]))
    });
    let net = Net::new(&service);
    let policy = policy().max_attempts(6).unwrap();
    let mut stream = numbers(net.channel()).policy(policy).build().unwrap();
    while stream.token() != Some(&3) {
        stream.next().await.unwrap().unwrap();
    }
    let waits = service.seen.waits();
    assert_eq!(waits[..4], [100, 200, 400, 800].map(ms));
    let again = [100, 200, 400, 800, 1_600].map(ms);
    assert_eq!(waits[4..9], again);
    assert_eq!(waits[9..14], again);
}

// CONTRACT S4
#[transports::test(start_paused = true)]
async fn the_policy_limits_the_openings_without_progress() {
    let refusing = Service::new(|asked| match asked.after {
        None => steps([Step::Token(1), Step::Fail(Status::unavailable("one"))]),
        Some(_) => Err(Status::unavailable("down")),
    });
    let net = Net::new(&refusing);
    let policy = policy().max_attempts(3).unwrap();
    let mut stream = numbers(net.channel()).policy(policy).build().unwrap();
    assert_eq!(all(&mut stream).await, [Ok(1), Err(TonicCode::Unavailable)]);
    // The opening that brought the token counts as the first of three.
    assert_eq!(refusing.seen.waits(), [ms(100), ms(200)]);
}

// CONTRACT S2, P2, P8
#[transports::test(start_paused = true)]
async fn the_server_s_hint_is_obeyed() {
    let hinted = || {
        let details = retry_info(Duration::from_secs(3));
        let hint = Status::with_details(TonicCode::Unavailable, "busy", details);
        Some(Step::Fail(hint))
    };
    let service = two_and(hinted);
    let net = Net::new(&service);
    let builder = numbers(net.channel()).policy(policy());
    let mut stream = builder.build().unwrap();
    assert_eq!(all(&mut stream).await.len(), 6);
    for wait in service.seen.waits() {
        assert!(wait >= ms(3_000) && wait <= ms(3_600), "{wait:?}");
    }
}

// CONTRACT S2, P1
#[transports::test(start_paused = true)]
async fn a_pushback_that_forbids_retries_ends_the_stream() {
    let service = two_and(|| {
        let mut status = Status::unavailable("go away");
        let never = "-1".parse().unwrap();
        status
            .metadata_mut()
            .insert("grpc-retry-pushback-ms", never);
        Some(Step::Fail(status))
    });
    let net = Net::new(&service);
    let mut stream = numbers(net.channel()).build().unwrap();
    let seen = all(&mut stream).await;
    assert_eq!(seen, [Ok(1), Ok(2), Err(TonicCode::Unavailable)]);
    let give_up = stream.report().give_up();
    assert_eq!(give_up, Some(GiveUp::PushbackStop));
}

// CONTRACT S2, R15: tonic reports a message over its limit with the code OUT_OF_RANGE
#[transports::test(start_paused = true)]
async fn a_message_that_is_too_large_ends_the_stream_and_is_no_lost_token() {
    let service = Service::new(|asked| match asked.after {
        None => steps([
            Step::Token(1),
            Step::Fail(Status::unavailable("restarting")),
        ]),
        Some(_) => steps([Step::Token(2)]),
    });
    let net = Net::new(&service);
    let channel = net.channel();
    let mut openings = 0;
    let request = tonic::Request::new(test_protos::EchoRequest::default());
    let mut stream = grpc_resilience::streams::Resumable::builder(request, move |request| {
        openings += 1;
        let mut client = test_protos::EchoClient::new(channel.clone());
        if openings == 2 {
            client = client.max_decoding_message_size(1);
        }
        async move { client.server_stream(request).await }
    })
    .token(|number| Some(number.index))
    .resume(|first, number| test_protos::EchoRequest {
        text: number.to_string(),
        ..first.clone()
    })
    .build()
    .unwrap();
    let seen = all(&mut stream).await;
    assert_eq!(seen, [Ok(1), Err(TonicCode::OutOfRange)]);
    let give_up = stream.report().give_up();
    assert_eq!(give_up, Some(GiveUp::CodeNotRetryable));
    assert_eq!(service.seen.count(), 2);
}

// CONTRACT S2
#[transports::test(start_paused = true)]
async fn a_stream_starts_at_a_token_that_was_stored() {
    let service = two_and(|| None);
    let net = Net::new(&service);
    let mut stream = numbers(net.channel()).start_at(4).build().unwrap();
    assert_eq!(stream.token(), Some(&4));
    assert_eq!(all(&mut stream).await, [Ok(5), Ok(6)]);
    assert_eq!(service.seen.asked(), [Some(4)]);
}
