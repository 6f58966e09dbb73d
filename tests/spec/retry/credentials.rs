//! The hook that brings credentials hears that they were refused, of earlier calls too (CONTRACT
//! I6).

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use grpc_resilience::Resilience;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::{BeforeAttempt, NextAttempt, RetryLayer, RetryPolicy};
use http::HeaderValue;
use test_protos::EchoRequest;
use testing::{Answer, Server, method};
use tonic::{Code, Request, Status};
use tower::Layer as _;

use crate::support::{Stack, client, declared, policy, undeclared};

/// The number of the attempt, and the code of the failure.
type Told = (u32, Option<Code>);

/// A token store: fetches a new one if it is told that the last one was refused.
#[derive(Clone, Default)]
struct Tokens {
    fetched: Arc<AtomicU32>,
    /// What each run of the hook was told.
    told: Arc<Mutex<Vec<Told>>>,
}

impl Tokens {
    fn hook(&self) -> BeforeAttempt {
        let tokens = self.clone();
        BeforeAttempt::new(move |mut next: NextAttempt| {
            let refused = next.last_failure().map(|it| Code::from(it.code()));
            tokens.told.lock().unwrap().push((next.number(), refused));
            if refused == Some(Code::Unauthenticated) {
                tokens.fetched.fetch_add(1, Ordering::Relaxed);
            }
            let token = HeaderValue::from(tokens.fetched.load(Ordering::Relaxed));
            async move {
                next.headers_mut().insert("x-token", token);
                Ok(next)
            }
        })
    }

    fn fetched(&self) -> u32 {
        self.fetched.load(Ordering::Relaxed)
    }

    fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

fn refused() -> Answer {
    Answer::status(Code::Unauthenticated, "the token expired")
}

fn layer(tokens: &Tokens) -> RetryLayer {
    RetryLayer::new(policy()).before_attempt(tokens.hook())
}

/// Calls a server that refuses the first call, then makes another call: what the hook was told.
async fn second_after_refusal<S: Stack>(
    server: &Server,
    stack: S,
    tokens: &Tokens,
    requests: [Request<EchoRequest>; 2],
) {
    server.script().clear();
    server.script().on(method::UNARY, [refused()]);
    let mut client = client(stack);
    let [first, second] = requests;
    let status = client.unary(first).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    client.unary(second).await.unwrap();
    let unauthenticated = Some(Code::Unauthenticated);
    assert_eq!(tokens.told(), [(1, None), (1, unauthenticated)]);
    assert_eq!(tokens.fetched(), 1);
    let calls = server.calls();
    assert_eq!(calls[calls.len() - 1].metadata["x-token"], "1");
}

// CONTRACT I6
#[transports::test(start_paused = true)]
async fn the_next_call_s_hook_is_told_whether_or_not_either_call_is_declared() {
    for requests in [
        [undeclared(), undeclared()],
        [undeclared(), declared()],
        [declared(), undeclared()],
        [declared(), declared()],
    ] {
        let (server, tokens) = (Server::in_memory(), Tokens::default());
        let layered = layer(&tokens).layer(server.channel());
        second_after_refusal(&server, layered, &tokens, requests).await;
    }
}

// CONTRACT I6
#[transports::test(start_paused = true)]
async fn under_the_whole_stack_it_is_told_too() {
    let (server, tokens) = (Server::in_memory(), Tokens::default());
    let stack = Resilience::new()
        .retry_layer(layer(&tokens))
        .wrap(server.channel());
    second_after_refusal(&server, stack, &tokens, [undeclared(), undeclared()]).await;
}

// CONTRACT I6, R12
#[transports::test(start_paused = true)]
async fn calls_that_are_never_retried_tell_it_and_are_told() {
    let never = || {
        let mut request = undeclared();
        request.call_options().never_retry();
        request
    };
    for policy in [policy(), RetryPolicy::never()] {
        let (server, tokens) = (Server::in_memory(), Tokens::default());
        let layer = RetryLayer::new(policy).before_attempt(tokens.hook());
        let layered = layer.layer(server.channel());
        second_after_refusal(&server, layered, &tokens, [never(), never()]).await;
    }
}

// CONTRACT I6: a server that sends its head first
#[transports::test(start_paused = true)]
async fn a_refusal_in_trailers_is_told_too() {
    for (kind_is_known, never) in [(true, false), (false, false), (false, true)] {
        let (server, tokens) = (Server::in_memory(), Tokens::default());
        let trailers = Answer::status_in_trailers(Code::Unauthenticated, "expired");
        server.script().on(method::UNARY, [trailers]);
        let mut client = client(layer(&tokens).layer(server.channel()));
        let mut request = undeclared();
        if kind_is_known {
            request.call_options().kind(MethodKind::Unary);
        }
        if never {
            request.call_options().never_retry();
        }
        client.unary(request).await.unwrap_err();
        client.unary(undeclared()).await.unwrap();
        let told = tokens.told();
        assert_eq!(told, [(1, None), (1, Some(Code::Unauthenticated))]);
    }
}

// CONTRACT I6
#[transports::test(start_paused = true)]
async fn it_is_told_until_it_has_run_with_success_and_then_no_more() {
    let (server, tokens) = (Server::in_memory(), Tokens::default());
    server.script().on(method::UNARY, [refused()]);
    let fails = Arc::new(AtomicU32::new(2));
    let (told, left) = (tokens.clone(), Arc::clone(&fails));
    let hook = BeforeAttempt::new(move |next: NextAttempt| {
        let refused = next.last_failure().map(|it| Code::from(it.code()));
        told.told.lock().unwrap().push((next.number(), refused));
        let fails = refused.is_some() && left.load(Ordering::Relaxed) > 0;
        if fails {
            left.fetch_sub(1, Ordering::Relaxed);
        }
        async move {
            if fails {
                return Err("the token store is away".into());
            }
            Ok(next)
        }
    });
    let never = RetryLayer::new(RetryPolicy::never()).before_attempt(hook);
    let mut client = client(never.layer(server.channel()));
    let mut codes = Vec::new();
    for _ in 0..5 {
        let call = client.unary(undeclared()).await;
        codes.push(call.map_or_else(|status| status.code(), |_| Code::Ok));
    }
    let away = Code::Unavailable;
    assert_eq!(
        codes,
        [Code::Unauthenticated, away, away, Code::Ok, Code::Ok]
    );
    let refused = Some(Code::Unauthenticated);
    let expected = [None, refused, refused, refused, None].map(|code| (1, code));
    assert_eq!(tokens.told(), expected);
}

// CONTRACT I6: those that were on their way with the old token
#[transports::test(start_paused = true)]
async fn refusals_of_what_was_sent_before_the_renewal_fetch_no_second_token() {
    let (server, tokens) = (Server::in_memory(), Tokens::default());
    let late = refused().after(crate::support::ms(500));
    server.script().on(method::UNARY, [late, refused()]);
    let client = client(layer(&tokens).layer(server.channel()));
    let mut slow = client.clone();
    let slow = tokio::spawn(async move { slow.unary(undeclared()).await });
    crate::support::settle().await;
    let mut quick = client.clone();
    quick.unary(undeclared()).await.unwrap_err();
    quick.unary(undeclared()).await.unwrap();
    assert_eq!(tokens.fetched(), 1);
    let status: Status = slow.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    quick.unary(undeclared()).await.unwrap();
    assert_eq!(tokens.fetched(), 1, "the late refusal is of the old token");
}

// CONTRACT I6: two runs of the hook are told the same, and the token of the first one is refused
// too
#[transports::test(start_paused = true)]
async fn a_renewal_does_not_hide_the_refusal_of_a_later_token() {
    let (server, tokens) = (Server::in_memory(), Tokens::default());
    let slow_hook = {
        let hook = tokens.clone();
        BeforeAttempt::new(move |next: NextAttempt| {
            let refused = next.last_failure().map(|it| Code::from(it.code()));
            let runs = {
                let mut told = hook.told.lock().unwrap();
                told.push((next.number(), refused));
                told.len()
            };
            async move {
                // The second run takes longer than the third and the call that it is for.
                if runs == 2 {
                    tokio::time::sleep(crate::support::ms(500)).await;
                }
                Ok(next)
            }
        })
    };
    server.script().on(method::UNARY, [refused(), refused()]);
    let layer = RetryLayer::new(policy()).before_attempt(slow_hook);
    let client = client(layer.layer(server.channel()));
    let mut quick = client.clone();
    quick.unary(undeclared()).await.unwrap_err();
    let mut slow = client.clone();
    let slow = tokio::spawn(async move { slow.unary(undeclared()).await });
    crate::support::settle().await;
    // Told, renews, and is refused with what it brought.
    quick.unary(undeclared()).await.unwrap_err();
    slow.await.unwrap().unwrap();
    quick.unary(undeclared()).await.unwrap();
    let refused = Some(Code::Unauthenticated);
    let expected = [None, refused, refused, refused].map(|code| (1, code));
    assert_eq!(tokens.told(), expected);
}

// CONTRACT I6
#[transports::test(start_paused = true)]
async fn other_failures_are_told_within_their_call_only() {
    let (server, tokens) = (Server::in_memory(), Tokens::default());
    let denied = Answer::status(Code::PermissionDenied, "no");
    server.script().on(method::UNARY, [denied]);
    let mut client = client(layer(&tokens).layer(server.channel()));
    client.unary(undeclared()).await.unwrap_err();
    client.unary(undeclared()).await.unwrap();
    assert_eq!(tokens.told(), [(1, None), (1, None)]);
}

// CONTRACT I6: a refusal that the call itself mended is no news for the next
#[transports::test(start_paused = true)]
async fn what_a_retry_renewed_is_not_told_again() {
    let (server, tokens) = (Server::in_memory(), Tokens::default());
    server.script().on(method::UNARY, [refused()]);
    let hook = tokens.hook().renews_credentials();
    let layer = RetryLayer::new(policy()).before_attempt(hook);
    let mut client = client(layer.layer(server.channel()));
    client.unary(declared()).await.unwrap();
    client.unary(declared()).await.unwrap();
    let refused = Some(Code::Unauthenticated);
    assert_eq!(tokens.told(), [(1, None), (2, refused), (1, None)]);
    assert_eq!(tokens.fetched(), 1);
}

/// The number of the attempt, and whether the hook was told that credentials were refused; and a
/// hook that fails so often when it is.
type Refusals = Arc<Mutex<Vec<(u32, bool)>>>;

fn listening(fails: u32) -> (Refusals, BeforeAttempt) {
    let told = Refusals::default();
    let (log, left) = (Arc::clone(&told), AtomicU32::new(fails));
    let hook = BeforeAttempt::new(move |next: NextAttempt| {
        let is_refused = next.has_refused_credentials();
        log.lock().unwrap().push((next.number(), is_refused));
        let fails = is_refused && left.load(Ordering::Relaxed) > 0;
        if fails {
            left.fetch_sub(1, Ordering::Relaxed);
        }
        async move {
            if fails {
                return Err("the token store is away".into());
            }
            Ok(next)
        }
    });
    (told, hook)
}

// CONTRACT I6: the hook failed once when it was told
#[transports::test(start_paused = true)]
async fn a_second_attempt_is_told_of_refused_credentials_too() {
    for is_renewing in [false, true] {
        let server = Server::in_memory();
        server.script().on(method::UNARY, [refused()]);
        let (told, hook) = listening(2);
        let hook = if is_renewing {
            hook.renews_credentials()
        } else {
            hook
        };
        let layer = RetryLayer::new(policy()).before_attempt(hook);
        let mut client = client(layer.layer(server.channel()));
        client.unary(undeclared()).await.unwrap_err();
        client.unary(declared()).await.unwrap();
        client.unary(declared()).await.unwrap();
        let expected = [(1, false), (1, true), (2, true), (3, true), (1, false)];
        assert_eq!(*told.lock().unwrap(), expected);
    }
}

// CONTRACT I6: another call is refused while this one backs off for another reason
#[transports::test(start_paused = true)]
async fn a_retry_is_told_of_what_another_call_was_refused_meanwhile() {
    let server = Server::in_memory();
    let down = Answer::status(Code::Unavailable, "down");
    server.script().on(method::UNARY, [down, refused()]);
    let (told, hook) = listening(0);
    let slow = policy().backoff(crate::support::every(crate::support::ms(500)));
    let layer = RetryLayer::new(slow).before_attempt(hook);
    let client = client(layer.layer(server.channel()));
    let mut waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.unary(declared()).await });
    crate::support::settle().await;
    let mut quick = client.clone();
    quick.unary(undeclared()).await.unwrap_err();
    waiting.await.unwrap().unwrap();
    assert_eq!(*told.lock().unwrap(), [(1, false), (1, false), (2, true)]);
}
