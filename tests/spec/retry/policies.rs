//! Which policy decides, and what a policy can say.

use std::time::Duration;

use grpc_resilience::GiveUp;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::retry::{Outcome, Plan, Policies, Policy, Retry, RetryLayer, RetryPolicy};
use test_protos::{EchoClient, EchoRequest};
use testing::{Answer, Call, Server, method};
use tonic::{Code, Request, Status};
use tower::Layer as _;
use transports::Channel;

use crate::support::{
    declared, every, failures, ms, policy, retrying, unavailable, undeclared, waits,
};

fn attempts(count: u32) -> RetryPolicy {
    policy().max_attempts(count).unwrap()
}

fn over(server: &Server, policies: impl Into<Policies>) -> EchoClient<Retry<Channel>> {
    EchoClient::new(RetryLayer::new(policies).layer(server.channel()))
}

/// One declared call under this policy, against these answers and OK after them.
async fn play<const N: usize>(
    policy: impl Policy + 'static,
    answers: [Answer; N],
) -> (Result<(), Status>, Vec<Call>) {
    play_as(declared(), policy, answers).await
}

async fn play_as<const N: usize>(
    request: Request<EchoRequest>,
    policy: impl Policy + 'static,
    answers: [Answer; N],
) -> (Result<(), Status>, Vec<Call>) {
    let server = Server::in_memory();
    server.script().on(method::UNARY, answers);
    let call = over(&server, policy).unary(request).await;
    (call.map(drop), server.calls())
}

fn given_up(call: Result<(), Status>) -> Option<GiveUp> {
    GiveUp::find(&call.unwrap_err())
}

#[transports::test(start_paused = true)]
async fn each_method_has_its_policy_an_exact_path_before_a_glob_the_first_glob_before_others() {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("down"));
    let policies = Policies::new(attempts(5))
        .method("/test.v1.Echo/Unary*", attempts(2))
        .and_then(|it| it.method("/test.v1.Echo/*", RetryPolicy::never()))
        .and_then(|it| it.method(method::UNARY_IDEMPOTENT, attempts(3)))
        .unwrap();
    let mut client = over(&server, policies.clone());
    client.unary(declared()).await.unwrap_err();
    client.unary_unknown(declared()).await.unwrap_err();
    client.unary_idempotent(declared()).await.unwrap_err();
    client.server_stream(declared()).await.unwrap_err();
    for (method, attempts) in [
        (method::UNARY, 2),
        (method::UNARY_UNKNOWN, 2),
        (method::UNARY_IDEMPOTENT, 3),
        (method::SERVER_STREAM, 1),
    ] {
        assert_eq!(server.calls_to(method).len(), attempts, "{method}");
    }

    server.clear();
    let elsewhere = Policies::new(attempts(5)).method("/other.v1.Other/*", attempts(2));
    let mut client = over(&server, elsewhere.unwrap());
    client.unary(declared()).await.unwrap_err();
    assert_eq!(server.count(), 5);
}

#[transports::test(start_paused = true)]
async fn a_call_in_backoff_keeps_the_policy_that_it_started_with_and_the_next_has_the_new_one() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, unavailable("down"));
    let slow = attempts(3).backoff(every(ms(1_000)));
    let layer = RetryLayer::new(slow);
    let mut client = EchoClient::new(layer.layer(server.channel()));
    let mut other_channel = EchoClient::new(layer.clone().layer(server.channel()));
    let mut old = client.clone();
    let running = tokio::spawn(async move { old.unary(declared()).await });
    tokio::time::sleep(ms(500)).await;
    assert_eq!(server.count(), 1);
    layer.policies().replace(attempts(2));

    client.unary(declared()).await.unwrap_err();
    other_channel.unary(declared()).await.unwrap_err();
    assert_eq!(server.count(), 1 + 2 + 2);
    let status = running.await.unwrap().unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    assert_eq!(server.count(), 3 + 2 + 2);
    let calls = server.calls();
    let of_running = calls.iter().rev().take(2).collect::<Vec<_>>();
    assert_eq!(of_running[0].at - of_running[1].at, ms(1_000));

    // By method, too; a handle sees what another one replaced.
    let never = Policies::new(attempts(4)).method(method::UNARY, RetryPolicy::never());
    layer.clone().policies().replace(never.unwrap());
    server.clear();
    client.unary(declared()).await.unwrap_err();
    assert_eq!(server.count(), 1);
    let current = format!("{:?}", layer.policies().current());
    assert!(current.contains(method::UNARY), "{current}");
}

/// Retries DATA_LOSS too, but nothing for a third time.
#[derive(Debug)]
struct Cautious(RetryPolicy);

impl Policy for Cautious {
    fn decide(&self, outcome: &Outcome<'_>) -> Plan {
        if outcome.attempts > 2 {
            return Plan::Stop(GiveUp::Policy("twice_is_enough"));
        }
        if outcome.verdict.code == Code::DataLoss.into() {
            return Plan::retry(ms(50) * outcome.attempts);
        }
        self.0.decide(outcome)
    }
}

#[transports::test(start_paused = true)]
async fn a_policy_of_the_user_s_own_decides_and_leaves_the_rest_to_another() {
    let lost = || Answer::status(Code::DataLoss, "lost");
    let (call, calls) = play(Cautious(policy()), [lost(), lost()]).await;
    call.unwrap();
    assert_eq!(waits(&calls), [50, 100]);

    let (call, calls) = play(Cautious(policy()), [unavailable("down"), lost(), lost()]).await;
    let status = call.unwrap_err();
    assert_eq!(status.code(), Code::DataLoss);
    let reason = GiveUp::find(&status).unwrap();
    assert_eq!(reason, GiveUp::Policy("twice_is_enough"));
    assert_eq!(reason.name(), "twice_is_enough");
    assert_eq!(waits(&calls), [10, 100]);

    let aborted = Answer::status(Code::Aborted, "conflict");
    let (call, calls) = play(Cautious(policy()), [aborted]).await;
    assert_eq!(given_up(call), Some(GiveUp::CodeNotRetryable));
    assert_eq!(calls.len(), 1);
}

/// Says the same of every failure.
#[derive(Debug)]
struct Reckless(Plan);

impl Policy for Reckless {
    fn decide(&self, outcome: &Outcome<'_>) -> Plan {
        if outcome.attempts > 5 || outcome.unsent > 5 {
            return Plan::Stop(GiveUp::AttemptsExhausted);
        }
        self.0
    }
}

// CONTRACT I2, I4
#[transports::test(start_paused = true)]
async fn no_policy_can_have_an_undeclared_call_repeated_that_may_have_run() {
    let retry = Plan::retry(Duration::ZERO);
    let transparent = Plan::transparent(Duration::ZERO);
    for plan in [retry, transparent] {
        for answer in [
            unavailable("down"),
            Answer::status(Code::Internal, "down"),
            Answer::drop_connection(),
            Answer::http(http::StatusCode::BAD_GATEWAY, "text/html", "down"),
        ] {
            let (call, calls) = play_as(undeclared(), Reckless(plan), [answer.clone()]).await;
            assert_eq!(given_up(call), Some(GiveUp::NotIdempotent), "{answer:?}");
            assert_eq!(calls.len(), 1);
            let mut unsafe_call = declared();
            unsafe_call.call_options().not_idempotent();
            let (call, calls) = play_as(unsafe_call, Reckless(plan), [answer.clone()]).await;
            assert_eq!(given_up(call), Some(GiveUp::NotIdempotent), "{answer:?}");
            assert_eq!(calls.len(), 1);
            let (call, calls) = play(Reckless(plan), [answer]).await;
            call.unwrap();
            assert_eq!(calls.len(), 2);
        }
    }
}

/// Retries calls of which nobody said anything.
#[derive(Debug)]
struct Assuming;

impl Policy for Assuming {
    fn decide(&self, outcome: &Outcome<'_>) -> Plan {
        policy().assume_idempotent().decide(outcome)
    }

    fn assumes_idempotent(&self) -> bool {
        true
    }
}

// CONTRACT I2, I5
#[transports::test(start_paused = true)]
async fn a_policy_of_the_user_s_own_may_assume_idempotence_but_not_against_the_caller_s_word() {
    let (call, calls) = play_as(undeclared(), Assuming, [unavailable("down")]).await;
    call.unwrap();
    assert_eq!(calls.len(), 2);
    let mut refused = undeclared();
    refused.call_options().not_idempotent();
    let (call, _) = play_as(refused, Assuming, [unavailable("down")]).await;
    assert_eq!(given_up(call), Some(GiveUp::NotIdempotent));
}

// CONTRACT R12
#[transports::test(start_paused = true)]
async fn under_the_policy_never_a_call_passes_as_without_the_layer() {
    for answer in [unavailable("down"), unavailable("down").pushback("0")] {
        let (call, calls) = play(RetryPolicy::never(), [answer]).await;
        let status = call.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "down")
        );
        assert_eq!(GiveUp::find(&status), None);
        assert_eq!(calls.len(), 1);
    }
    let (call, _) = play(RetryPolicy::never(), []).await;
    call.unwrap();
}

// CONTRACT R12, X2: through the raw peer, for no server refuses a stream on demand
#[transports::test]
async fn the_policy_never_makes_no_transparent_retry_either() {
    use peer::{Connection, Peer, Stream};

    for (policy, streams) in [(RetryPolicy::never(), 1), (policy(), 2)] {
        let peer = Peer::always(Connection::new().streams([Stream::refuse()])).await;
        let channel = RetryLayer::new(policy).layer(Channel::to(peer.uri()));
        let call = EchoClient::new(channel).unary(declared()).await;
        assert_eq!(call.is_err(), streams == 1);
        assert_eq!(peer.streams_seen().len(), streams);
    }
}

// CONTRACT R4
#[transports::test(start_paused = true)]
async fn a_code_can_have_a_curve_of_its_own() {
    let aborted = || Answer::status(Code::Aborted, "conflict");
    let conflicts = policy().retry_on(Code::Aborted);
    let own = conflicts.backoff_on(Code::Aborted, every(ms(70)));
    let answers = [unavailable("down"), aborted(), unavailable("down")];
    let (call, calls) = play(own.clone(), answers).await;
    call.unwrap();
    assert_eq!(waits(&calls), [10, 70, 10]);

    // Said again, it replaces; the caller's own curve beats both.
    let replaced = own.backoff_on(Code::Aborted, every(ms(30)));
    let (_, calls) = play(replaced.clone(), [aborted()]).await;
    assert_eq!(waits(&calls), [30]);
    let mut request = declared();
    request.call_options().backoff(every(ms(5)));
    let (_, calls) = play_as(request, replaced, [aborted(), unavailable("down")]).await;
    assert_eq!(waits(&calls), [5, 5]);

    // It does not make the code one that is retried.
    let unnamed = policy().backoff_on(Code::Aborted, every(ms(70)));
    let (call, calls) = play(unnamed, [aborted()]).await;
    assert_eq!(given_up(call), Some(GiveUp::CodeNotRetryable));
    assert_eq!(calls.len(), 1);
}

// CONTRACT P2, P8
#[transports::test(start_paused = true)]
async fn overload_without_a_hint_is_waited_for_ten_times_as_long() {
    let busy = || Answer::status(Code::ResourceExhausted, "busy");
    let overload = || policy().retry_on(Code::ResourceExhausted);
    let (call, calls) = play(overload(), [busy(), unavailable("down"), busy()]).await;
    call.unwrap();
    assert_eq!(waits(&calls), [100, 10, 100]);

    let hints = [busy().pushback("25"), busy().retry_info(ms(30))];
    let (call, calls) = play(overload(), hints).await;
    call.unwrap();
    let waited = waits(&calls);
    assert_eq!(waited[0], 25);
    assert!((30..=37).contains(&waited[1]), "{waited:?}");

    let own = overload().backoff_on(Code::ResourceExhausted, every(ms(20)));
    let (_, calls) = play(own, [busy()]).await;
    assert_eq!(waits(&calls), [20]);
    let mut request = declared();
    request.call_options().backoff(every(ms(40)));
    let (_, calls) = play_as(request, overload(), [busy()]).await;
    assert_eq!(waits(&calls), [40]);
}

fn pushed(millis: u64) -> Answer {
    unavailable("busy").pushback(millis.to_string())
}

// CONTRACT P10
#[transports::test(start_paused = true)]
async fn a_hint_longer_than_the_policy_obeys_ends_the_call_and_a_shorter_one_is_obeyed() {
    let capped = || policy().max_hint(ms(200));
    for too_long in [pushed(201), unavailable("busy").retry_info(ms(201))] {
        let (call, calls) = play(capped(), [too_long]).await;
        let status = call.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "busy")
        );
        assert_eq!(GiveUp::find(&status), Some(GiveUp::HintTooLong));
        assert_eq!(calls.len(), 1);
    }
    let (call, calls) = play(capped(), [pushed(200), pushed(0)]).await;
    call.unwrap();
    assert_eq!(waits(&calls), [200, 0]);
    // The cap is for what the server asks; what is added to it is ours.
    let (call, calls) = play(capped(), [unavailable("busy").retry_info(ms(200))]).await;
    call.unwrap();
    assert!((200..=241).contains(&waits(&calls)[0]));
    // Without a cap and without a deadline a minute is the longest.
    let (call, calls) = play(policy(), [pushed(60_000)]).await;
    call.unwrap();
    assert_eq!(waits(&calls), [60_000]);
    for too_long in [pushed(60_001), unavailable("busy").retry_info(ms(60_001))] {
        let (call, calls) = play(policy(), [too_long]).await;
        assert_eq!(given_up(call), Some(GiveUp::HintTooLong));
        assert_eq!(calls.len(), 1);
    }
    let unbounded = policy().max_hint(Duration::MAX);
    let (call, calls) = play(unbounded, [pushed(3_600_000)]).await;
    call.unwrap();
    assert_eq!(waits(&calls), [3_600_000]);
}

// CONTRACT P10
#[transports::test(start_paused = true)]
async fn the_caller_s_word_on_hints_beats_the_policy_s() {
    for (of_policy, of_call, hint, obeyed) in [
        (Some(200), 500, 500, true),
        (Some(200), 500, 501, false),
        (Some(200), 100, 101, false),
        (Some(200), 100, 100, true),
        (None, 100, 101, false),
        (None, 0, 1, false),
        (None, 0, 0, true),
    ] {
        let mut request = declared();
        request.call_options().max_hint(ms(of_call));
        let policy = match of_policy {
            Some(longest) => policy().max_hint(ms(longest)),
            None => policy(),
        };
        let (call, calls) = play_as(request, policy, [pushed(hint)]).await;
        if obeyed {
            call.unwrap();
            assert_eq!(waits(&calls), [hint]);
        } else {
            assert_eq!(given_up(call), Some(GiveUp::HintTooLong));
            assert_eq!(calls.len(), 1);
        }
    }
}

// CONTRACT R3; PEER-CASES MW-override-per-call
#[transports::test(start_paused = true)]
async fn a_call_can_name_the_only_codes_that_are_retried() {
    let server = Server::in_memory();
    let mut client = retrying(&server, policy());
    let only = |codes: &[Code]| {
        let mut request = declared();
        let codes = codes.iter().copied();
        request.call_options().retry_only_on(codes);
        request
    };
    let and_aborted = || {
        let mut request = only(&[Code::Internal]);
        request.call_options().retry_on(Code::Aborted);
        request
    };
    for (request, code, retried) in [
        (only(&[Code::Aborted]), Code::Aborted, true),
        (only(&[Code::Aborted]), Code::Unavailable, false),
        (only(&[]), Code::Unavailable, false),
        (and_aborted(), Code::Internal, true),
        (and_aborted(), Code::Aborted, true),
        (and_aborted(), Code::Unavailable, false),
        (declared(), Code::Unavailable, true),
        (declared(), Code::Aborted, false),
    ] {
        server.clear();
        server.script().clear();
        let answer = Answer::status(code, "no");
        server.script().on(method::UNARY, [answer]);
        let call = client.unary(request).await;
        if retried {
            call.unwrap();
            assert_eq!(server.count(), 2);
        } else {
            assert_eq!(
                given_up(call.map(drop)),
                Some(GiveUp::CodeNotRetryable),
                "{code}"
            );
            assert_eq!(server.count(), 1);
        }
    }
    // What the call named is its own: the next one has the policy's codes.
    server.clear();
    server.script().on(method::UNARY, failures(1));
    client.unary(declared()).await.unwrap();
    assert_eq!(server.count(), 2);
}

// CONTRACT P5
#[test]
fn a_plan_that_is_made_says_whether_the_server_asked_for_the_wait() {
    let by_policy =
        matches!(Plan::retry(ms(5)), Plan::Retry { after, hinted: false, .. } if after == ms(5));
    let by_server = matches!(Plan::retry_as_hinted(ms(5)), Plan::Retry { after, hinted: true, .. } if after == ms(5));
    let again =
        matches!(Plan::transparent(ms(5)), Plan::Transparent { after, .. } if after == ms(5));
    assert!(by_policy && by_server && again);
}
