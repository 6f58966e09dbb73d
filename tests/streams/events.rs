//! What a stream says by `tracing`.

use grpc_resilience::RetryPolicy;
use grpc_resilience::backoff::{Exponential, Jitter};
use grpc_resilience::streams::{OnEnd, OnLost};
use tonic::Status;
use transports::Transport;

use crate::log::Ear;
use crate::net::Net;
use crate::numbers::{Service, Step, steps};
use crate::{all, ms, numbers};

const METHOD: &str = "/test.v1.Echo/ServerStream";

/// Waits 100 ms each time.
fn policy() -> RetryPolicy {
    let backoff = Exponential::new(ms(100)).unwrap();
    let backoff = backoff.multiplier(1.0).unwrap().jitter(Jitter::None);
    RetryPolicy::until_deadline().backoff(backoff)
}

// CONTRACT S2, S3, V1
#[transports::test(start_paused = true)]
async fn each_opening_after_a_break_is_told_and_so_is_a_lost_token() {
    let service = Service::new(|asked| match asked.call {
        0 => steps([
            Step::Token(1),
            Step::Fail(Status::unavailable("restarting")),
        ]),
        1 => steps([]),
        2 => Err(Status::out_of_range("compacted")),
        _ => Err(Status::not_found("no topic")),
    });
    let net = Net::new(&service);
    let ear = Ear::new();
    let builder = numbers(net.channel()).method(METHOD).policy(policy());
    let builder = builder.on_end(OnEnd::Reopen).on_lost(OnLost::Restart);
    let mut stream = builder.build().unwrap();
    all(&mut stream).await;
    let text = ear.text();
    let lines: Vec<_> = text.lines().filter(|it| it.contains("stream")).collect();
    let endpoint = match Transport::current() {
        Transport::Ours => " endpoint=\"unix:host\"",
        Transport::Tonic => "",
    };
    let expected = [
        format!(
            "DEBUG message=the stream broke off and is opened again method={METHOD:?} attempt=1 \
             code=\"UNAVAILABLE\" reason=\"foreign_status\"{endpoint} delay=100ms \
             error=\"restarting\""
        ),
        format!(
            "DEBUG message=the server ended the stream, and it is opened again method={METHOD:?} \
             attempt=2 delay=100ms"
        ),
        format!(
            "WARN message=the stream can't resume where it broke off: \
             messages are lost, or all of them come again method={METHOD:?} code=\"OUT_OF_RANGE\" \
             reason=\"foreign_status\" on_lost=\"restart\" delay=0ns error=\"compacted\""
        ),
        format!(
            "DEBUG message=the stream failed method={METHOD:?} attempts=1 code=\"NOT_FOUND\" \
             reason=\"foreign_status\" give_up=\"code_not_retryable\" error=\"no topic\""
        ),
    ];
    assert_eq!(lines, expected, "{text}");
}

// CONTRACT S1
#[transports::test(start_paused = true)]
async fn a_limit_that_is_passed_again_and_again_is_one_warning() {
    let service = Service::new(|_| {
        let parts = |first: u32| (first..first + 4).map(Step::Part);
        steps(
            parts(1)
                .chain([Step::Token(5)])
                .chain(parts(6))
                .chain([Step::Token(10)]),
        )
    });
    let net = Net::new(&service);
    let ear = Ear::new();
    let builder = numbers(net.channel()).hold_until_token();
    let builder = builder.max_held_bytes(20, |_| 10);
    let mut stream = builder.build().unwrap();
    assert_eq!(all(&mut stream).await.len(), 10);
    assert_eq!(stream.report().overflows(), 2);
    assert_eq!(ear.count("WARN"), 1, "{}", ear.text());
    assert_eq!(ear.count("items=3 bytes=30"), 1, "{}", ear.text());
}

// CONTRACT V1, V2
#[transports::test(start_paused = true)]
async fn a_stream_that_runs_well_says_nothing_over_any_layer() {
    let layers = grpc_resilience::BudgetLayer::new(grpc_resilience::TokenBucket::default());
    let service = Service::new(|_| steps([Step::Token(1), Step::Token(2)]));
    let net = Net::new(&service);
    let ear = Ear::new();
    let channel = tower::Layer::layer(&layers, net.channel());
    let mut stream = numbers(channel).build().unwrap();
    assert_eq!(all(&mut stream).await, [Ok(1), Ok(2)]);
    assert_eq!(ear.count("DEBUG") + ear.count("WARN"), 0, "{}", ear.text());
}
