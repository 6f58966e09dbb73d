//! Messages that wait for a token.

use grpc_resilience::grpc::Code;
use grpc_resilience::streams::{OnEnd, OnLost};
use tokio::time::timeout;
use tonic::Status;

use crate::net::Net;
use crate::numbers::{Service, Step, steps};
use crate::{GAP, all, ms, numbers, take};

const BREAK: fn() -> Step = || Step::Fail(Status::unavailable("restarting"));

// CONTRACT S1
#[transports::test(start_paused = true)]
async fn what_waits_is_handed_on_with_its_token() {
    let service = Service::new(|_| {
        steps([
            Step::Part(1),
            Step::Part(2),
            Step::Wait(ms(1_000)),
            Step::Token(3),
            Step::Part(4),
            Step::Hang,
        ])
    });
    let net = Net::new(&service);
    let builder = numbers(net.channel()).hold_until_token();
    let mut stream = builder.build().unwrap();
    assert!(timeout(ms(900), stream.next()).await.is_err());
    assert_eq!(stream.token(), None);
    assert_eq!(take(&mut stream, 2).await, [1, 2]);
    assert_eq!(stream.token(), None, "the caller has not got its message");
    assert_eq!(take(&mut stream, 1).await, [3]);
    assert_eq!(stream.token(), Some(&3));
    assert!(timeout(ms(9_000), stream.next()).await.is_err());
}

// CONTRACT S1, S7
#[transports::test(start_paused = true)]
async fn what_waits_is_discarded_when_the_stream_breaks_off() {
    let service = Service::new(|asked| match asked.call {
        0 => steps([Step::Part(1), BREAK()]),
        1 => steps([Step::Part(1), Step::Token(2), Step::Part(3), BREAK()]),
        _ => steps([Step::Part(3), Step::Token(4)]),
    });
    let net = Net::new(&service);
    let builder = numbers(net.channel()).hold_until_token();
    let mut stream = builder.build().unwrap();
    assert_eq!(all(&mut stream).await, [Ok(1), Ok(2), Ok(3), Ok(4)]);
    assert_eq!(service.seen.asked(), [None, None, Some(2)]);
}

// CONTRACT S1, S2
#[transports::test(start_paused = true)]
async fn what_waits_at_a_clean_end_is_handed_on_if_the_stream_is_complete() {
    for (on_end, expected) in [
        (OnEnd::Done, vec![Ok(1), Ok(2), Ok(3)]),
        (OnEnd::Reopen, vec![]),
    ] {
        let service = Service::new(|asked| match asked.after {
            None => steps([Step::Token(1), Step::Part(2), Step::Part(3)]),
            Some(_) => steps([Step::Hang]),
        });
        let net = Net::new(&service);
        let builder = numbers(net.channel()).hold_until_token().on_end(on_end);
        let mut stream = builder.build().unwrap();
        if on_end == OnEnd::Done {
            assert_eq!(all(&mut stream).await, expected);
        } else {
            assert_eq!(take(&mut stream, 1).await, [1]);
            assert!(timeout(ms(9_000), stream.next()).await.is_err());
            assert_eq!(service.seen.asked(), [None, Some(1)]);
        }
    }
}

/// Five numbers without a token, perhaps one with it, and a break.
fn overflowing(token: Option<Step>) -> Service {
    Service::new(move |asked| match (asked.call, asked.after) {
        (0, _) => steps((1..6).map(Step::Part).chain(token.clone()).chain([BREAK()])),
        (_, Some(_)) => steps([Step::Part(7), Step::Token(8)]),
        (_, None) => steps([Step::Token(1)]),
    })
}

// CONTRACT S1
#[transports::test(start_paused = true)]
async fn beyond_the_limit_all_is_handed_on_and_the_next_token_resumes_again() {
    let service = overflowing(Some(Step::Token(6)));
    let net = Net::new(&service);
    let builder = numbers(net.channel()).hold_until_token().max_held(3);
    let mut stream = builder.build().unwrap();
    assert_eq!(take(&mut stream, 8).await, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(stream.report().overflows(), 1);
    assert_eq!(service.seen.asked(), [None, Some(6)]);
}

// CONTRACT S1, S3
#[transports::test(start_paused = true)]
async fn a_break_beyond_the_limit_loses_the_place() {
    let on = [
        (OnLost::Fail, vec![Err(tonic::Code::Unavailable)]),
        (OnLost::Restart, vec![Ok(GAP), Ok(1)]),
        (OnLost::Skip, vec![Ok(1)]),
    ];
    for (on_lost, then) in on {
        let service = overflowing(None);
        let net = Net::new(&service);
        let builder = numbers(net.channel())
            .hold_until_token()
            .max_held_bytes(3, |_| 1)
            .on_lost(on_lost);
        let mut stream = builder.build().unwrap();
        let expected: Vec<_> = (1..6).map(Ok).chain(then).collect();
        assert_eq!(all(&mut stream).await, expected, "{on_lost:?}");
        let report = stream.report();
        assert_eq!(report.overflows(), 1);
        let code = (on_lost == OnLost::Fail).then_some(Code::Unavailable);
        assert_eq!(report.code(), code.or(Some(Code::Ok)));
    }
}

// CONTRACT S1, S7
#[transports::test(start_paused = true)]
async fn after_an_overflow_a_place_that_the_caller_chose_lets_messages_wait_again() {
    let service = Service::new(|asked| match asked.call {
        0 => {
            let parts = (1..6).map(Step::Part);
            let late = [Step::Wait(ms(1_000)), Step::Part(6), BREAK()];
            steps(parts.chain(late))
        }
        _ => steps([Step::Token(10)]),
    });
    let net = Net::new(&service);
    let builder = numbers(net.channel()).hold_until_token().max_held(3);
    let mut stream = builder.build().unwrap();
    assert_eq!(take(&mut stream, 5).await, [1, 2, 3, 4, 5]);
    stream.resume_from(9);
    assert_eq!(all(&mut stream).await, [Ok(10)]);
    assert_eq!(service.seen.asked(), [None, Some(9)]);
}

// CONTRACT S1, S2
#[transports::test(start_paused = true)]
async fn a_clean_end_beyond_the_limit_loses_the_place_of_a_stream_that_goes_on() {
    let service = Service::new(|asked| match asked.call {
        0 => steps((1..6).map(Step::Part)),
        _ => steps([Step::Token(9), Step::Hang]),
    });
    let net = Net::new(&service);
    let builder = numbers(net.channel()).hold_until_token().max_held(3);
    let builder = builder.on_end(OnEnd::Reopen).on_lost(OnLost::Restart);
    let mut stream = builder.build().unwrap();
    assert_eq!(take(&mut stream, 7).await, [1, 2, 3, 4, 5, GAP, 9]);
}
