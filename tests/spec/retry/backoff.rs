//! How long a call waits between attempts, and what a deadline makes of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_resilience::__internal::parse_timeout;
use grpc_resilience::GiveUp;
use grpc_resilience::backoff::{Backoff, Exponential, InvalidBackoff, Jitter, Retry};
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use test_protos::EchoClient;
use testing::{Answer, Call, Server, method};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};
use tower::Layer as _;

use crate::support::{declared, every, failures, ms, ours, policy, retrying, unavailable, waits};

fn ten_to_fifty(jitter: Jitter) -> Exponential {
    let curve = Exponential::new(ms(10)).unwrap().max(ms(50)).unwrap();
    curve.jitter(jitter)
}

// CONTRACT R4, R14; PEER-CASES JAVA-backoff
#[transports::test(start_paused = true)]
async fn waits_grow_by_the_multiplier_up_to_the_cap_and_none_follows_the_last_attempt() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, unavailable("down"));
    let six = RetryPolicy::new().max_attempts(6).unwrap();
    let mut client = retrying(&server, six.backoff(ten_to_fifty(Jitter::None)));
    let start = Instant::now();
    client.unary(declared()).await.unwrap_err();
    assert_eq!(start.elapsed().as_millis(), 10 + 20 + 40 + 50 + 50);
    assert_eq!(waits(&server.calls()), [10, 20, 40, 50, 50]);
    sleep(ms(60_000)).await;
    assert_eq!(server.count(), 6);
}

/// A curve that keeps what it was asked and what it said.
#[derive(Clone, Debug)]
struct Recorded {
    curve: Exponential,
    said: Arc<Mutex<Vec<(u32, Duration, Duration)>>>,
}

impl Backoff for Recorded {
    fn delay(&self, retry: &Retry) -> Duration {
        let delay = self.curve.delay(retry);
        self.said
            .lock()
            .unwrap()
            .push((retry.number, retry.previous, delay));
        delay
    }
}

/// What seven attempts are told to wait between them, and what the server saw of it.
async fn seven_attempts(jitter: Jitter, seed: u64) -> (Vec<(u32, Duration, Duration)>, Vec<u64>) {
    let server = Server::in_memory();
    server.script().always(method::UNARY, unavailable("down"));
    let curve = Exponential::new(ms(100)).unwrap().max(ms(800)).unwrap();
    let backoff = Recorded {
        curve: curve.jitter(jitter),
        said: Arc::default(),
    };
    let said = Arc::clone(&backoff.said);
    let policy = RetryPolicy::new().max_attempts(7).unwrap().backoff(backoff);
    let layer = RetryLayer::new(policy).seed(seed);
    let mut client = EchoClient::new(layer.layer(server.channel()));
    client.unary(declared()).await.unwrap_err();
    let said = said.lock().unwrap().clone();
    (said, waits(&server.calls()))
}

// CONTRACT R4; PEER-CASES MW-jitter-bounds
#[transports::test(start_paused = true)]
async fn each_jitter_is_waited_as_drawn_and_stays_within_its_bounds() {
    let bases = [100.0, 200.0, 400.0, 800.0, 800.0, 800.0];
    let scaled = |low: f64, high: f64| bases.map(|base| (base * low, base * high));
    for (jitter, bounds) in [
        (Jitter::None, scaled(1.0, 1.0)),
        (Jitter::Full, scaled(0.0, 1.0)),
        (Jitter::Equal, scaled(0.5, 1.0)),
        (Jitter::A6, scaled(0.8, 1.2)),
        (Jitter::Decorrelated, [(100.0, 800.0); 6]),
    ] {
        for seed in 0..100 {
            let (said, seen) = seven_attempts(jitter, seed).await;
            assert_eq!(said.len(), 6);
            for (((_, _, delay), seen), (low, high)) in said.iter().zip(&seen).zip(bounds) {
                let millis = delay.as_secs_f64() * 1_000.0;
                assert!(
                    (low..=high).contains(&millis),
                    "{jitter:?} {seed} {delay:?}"
                );
                // The timer rounds up to its next millisecond.
                let in_time = ms(*seen + 1) > *delay && ms(*seen) <= *delay + ms(1);
                assert!(in_time, "{seen} ms for {delay:?}");
            }
        }
    }
}

// CONTRACT R4
#[transports::test(start_paused = true)]
async fn decorrelated_jitter_grows_from_what_was_waited_last() {
    let (said, _) = seven_attempts(Jitter::Decorrelated, 3).await;
    let numbers: Vec<_> = said.iter().map(|(retry, _, _)| *retry).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    for ((_, _, waited), (_, previous, delay)) in said.iter().zip(said.iter().skip(1)) {
        assert_eq!(waited, previous);
        assert!(*delay <= (*previous * 3).min(ms(800)));
    }
}

#[transports::test(start_paused = true)]
async fn a_seed_repeats_its_waits_and_no_seed_does_not() {
    let run = |seed| seven_attempts(Jitter::Full, seed);
    assert_eq!(run(7).await, run(7).await);
    assert_ne!(run(7).await.0, run(8).await.0);

    // Ten calls of one unseeded layer: chance is fresh per call.
    let server = Server::in_memory();
    let mut client = retrying(&server, RetryPolicy::new().max_attempts(2).unwrap());
    let mut drawn = std::collections::HashSet::new();
    for _ in 0..10 {
        server.clear();
        server.script().on(method::UNARY, failures(1));
        client.unary(declared()).await.unwrap();
        drawn.extend(waits(&server.calls()));
    }
    assert!(drawn.len() > 2, "{drawn:?}");
}

// Bad configuration is a typed error at construction
#[test]
fn a_backoff_with_its_maximum_below_its_minimum_is_refused_at_construction() {
    let refused = Exponential::new(ms(10)).unwrap().max(ms(9)).unwrap_err();
    let (initial, max) = (ms(10), ms(9));
    assert_eq!(refused, InvalidBackoff::MaxBelowInitial { initial, max });
}

fn timeouts(calls: &[Call]) -> Vec<u128> {
    let sent = calls.iter().map(|call| call.timeout.as_deref().unwrap());
    sent.map(|sent| parse_timeout(sent.as_bytes()).unwrap().as_millis())
        .collect()
}

// CONTRACT R2, R14, D2
#[transports::test(start_paused = true)]
async fn the_caller_s_timeout_spans_all_attempts_without_a_deadline_layer() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, unavailable("down"));
    let endless = RetryPolicy::until_deadline().backoff(every(ms(300)));
    let mut request = declared();
    request.set_timeout(ms(1_000));
    let start = Instant::now();
    let call = retrying(&server, endless).unary(request).await;
    let status = call.unwrap_err();
    assert_eq!(start.elapsed().as_millis(), 900, "no wait that can't help");
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "down")
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    assert_eq!(timeouts(&server.calls()), [1_000, 700, 400, 100]);
    sleep(ms(60_000)).await;
    assert_eq!(server.count(), 4);
}

// CONTRACT R14, R17; PEER-CASES NET-deadline-during-backoff, GAX-no-sleep-past-deadline
#[transports::test(start_paused = true)]
async fn a_wait_past_the_deadline_returns_the_last_real_error_at_once() {
    let server = Server::in_memory();
    let answer = unavailable("down").metadata("x-zone", "b");
    server.script().always(method::UNARY, answer);
    // A wait that ends exactly at the deadline leaves no time for an attempt either.
    for backoff in [ms(500), ms(60_000)] {
        server.clear();
        let mut request = declared();
        request.set_timeout(ms(500));
        let start = Instant::now();
        let call = retrying(&server, policy().backoff(every(backoff)));
        let status = call.clone().unary(request).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "down")
        );
        assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
        assert_eq!(server.count(), 1);
    }
}

fn messages(status: &Status) -> Vec<String> {
    ours(status)
        .into_iter()
        .map(|error| error.status().message().to_owned())
        .collect()
}

// CONTRACT R17, D5, D11; DESIGN decision 12
#[transports::test(start_paused = true)]
async fn a_deadline_that_passes_during_an_attempt_has_the_last_real_error_as_its_source() {
    for last in [
        Answer::hang(),
        Answer::status(Code::Cancelled, "timeout").after(ms(487)),
        Answer::status(Code::DeadlineExceeded, "late").after(ms(487)),
    ] {
        let server = Server::in_memory();
        server.script().on(method::UNARY, failures(1));
        server.script().always(method::UNARY, last);
        let mut request = declared();
        request.set_timeout(ms(500));
        // Opting in to these codes must not bring the caller's own expiry back.
        request
            .call_options()
            .retry_on(Code::DeadlineExceeded)
            .retry_on(Code::Cancelled);
        let call = retrying(&server, policy()).unary(request).await;
        let status = call.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
        assert!(
            messages(&status).iter().any(|text| text == "failure 1"),
            "{status:?}"
        );
        assert_eq!(server.count(), 2);
    }
}

// PEER-CASES CORE-per-attempt-timeout, GAX-attempt-timeout; a deadline layer below bounds each attempt
#[transports::test(start_paused = true)]
async fn a_deadline_below_the_layer_is_the_attempt_s_and_retried_by_opt_in_only() {
    use grpc_resilience::deadline::DeadlineLayer;

    for (policy, attempts) in [
        (policy(), 2),
        (policy().retry_on(Code::DeadlineExceeded), 3),
    ] {
        let server = Server::in_memory();
        let answers = [unavailable("down"), Answer::hang()];
        server.script().on(method::UNARY, answers);
        let channel = tower::ServiceBuilder::new()
            .layer(RetryLayer::new(policy))
            .layer(DeadlineLayer::new().default_timeout(ms(300)))
            .service(server.channel());
        let call = EchoClient::new(channel).unary(declared()).await;
        let calls = server.calls();
        assert_eq!(calls.len(), attempts);
        let cancelled = server.wait_until(|calls| calls[1].cancelled());
        timeout(ms(100), cancelled).await.unwrap();
        if attempts == 3 {
            call.unwrap();
            assert_eq!(waits(&calls), [10, 310]);
            continue;
        }
        let status = call.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
        assert!(
            messages(&status).iter().any(|text| text == "down"),
            "{status:?}"
        );
    }
}

// CONTRACT D8
#[transports::test(start_paused = true)]
async fn a_server_s_deadline_exceeded_is_retried_by_opt_in_only() {
    for (policy, attempts) in [
        (policy(), 1),
        (policy().retry_on(Code::DeadlineExceeded), 4),
    ] {
        let server = Server::in_memory();
        let late = Answer::status(Code::DeadlineExceeded, "upstream is late");
        server.script().always(method::UNARY, late);
        let mut request = declared();
        request.set_timeout(ms(60_000));
        let call = retrying(&server, policy).unary(request).await;
        assert_eq!(call.unwrap_err().message(), "upstream is late");
        assert_eq!(server.count(), attempts);
    }
}
