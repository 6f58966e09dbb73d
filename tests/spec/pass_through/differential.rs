//! Beside `tower::retry`, where both can do the same.
//!
//! What tower's cannot do, and what is therefore not compared: it retries only what can be cloned,
//! so no live stream; its policy sees a response, so a status in trailers is not retried; it has no
//! backoff, deadline, hint, commit, transparent retry or attempts header of its own; and nothing in
//! it knows whether a call may be repeated. All that would be the work of the policy below.

use std::future::{Ready, ready};

use bytes::Bytes;
use grpc_resilience::BoxError;
use grpc_resilience::call::{CallOptionsExt, Context};
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use http::{Request, Response};
use http_body_util::Full;
use proptest::prelude::*;
use testing::{Answer, Server, grpc_frame, method};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::retry::Policy;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use crate::support::{every, message, ms, paused_runtime};

/// Repeats a call whose head says UNAVAILABLE, so many times.
#[derive(Clone)]
struct Towers {
    retries: u32,
}

impl<B, E> Policy<Request<Bytes>, Response<B>, E> for Towers {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Bytes>,
        outcome: &mut Result<Response<B>, E>,
    ) -> Option<Ready<()>> {
        let status = Status::from_header_map(outcome.as_ref().ok()?.headers())?;
        if status.code() != Code::Unavailable {
            return None;
        }
        self.retries = self.retries.checked_sub(1)?;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Request<Bytes>) -> Option<Request<Bytes>> {
        Some(request.clone())
    }
}

fn unary() -> Request<Bytes> {
    let mut request = Request::post(format!("http://in-memory.test{}", method::UNARY))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(grpc_frame(&message("hello")))
        .unwrap();
    let mut options = tonic::Request::new(());
    options.call_options().idempotent();
    let context = options.extensions_mut().remove::<Context>();
    request.extensions_mut().insert(context.unwrap());
    request
}

fn to_body(request: Request<Bytes>) -> Request<Body> {
    request.map(|bytes| Body::new(Full::new(bytes)))
}

/// The code of a head, or of an error; without either, the answer goes on and is fine.
fn code<B>(outcome: Result<Response<B>, BoxError>) -> Code {
    match outcome {
        Ok(answer) => Status::from_header_map(answer.headers()).map_or(Code::Ok, |it| it.code()),
        Err(error) => Status::from_error(error).code(),
    }
}

#[derive(Clone, Copy, Debug)]
enum Retrier {
    Tower,
    Ours,
}

/// The code that the call ends with, and what each attempt sent.
fn play(who: Retrier, script: &[Code], attempts: u32) -> (Code, Vec<Bytes>) {
    paused_runtime().block_on(async {
        let server = Server::in_memory();
        let answer = |code: &Code| Answer::status(*code, "no").reading_request();
        server
            .script()
            .on(method::UNARY, script.iter().map(answer))
            .otherwise(Answer::handler().reading_request());
        let channel = server.channel();
        let code = match who {
            Retrier::Tower => {
                let channel = service_fn(move |request: Request<Bytes>| {
                    channel.clone().oneshot(to_body(request))
                });
                let retries = attempts - 1;
                let mut service = tower::retry::Retry::new(Towers { retries }, channel);
                let outcome = service.ready().await.unwrap().call(unary()).await;
                code(outcome)
            }
            Retrier::Ours => {
                let policy = RetryPolicy::new().max_attempts(attempts).unwrap();
                let layer = RetryLayer::new(policy.backoff(every(ms(1))));
                let outcome = layer.layer(channel).oneshot(to_body(unary())).await;
                code(outcome.map_err(Into::into))
            }
        };
        let calls = server.calls().into_iter();
        (code, calls.map(|call| call.request).collect())
    })
}

fn any_code() -> impl Strategy<Value = Code> {
    prop_oneof![
        6 => Just(Code::Unavailable),
        3 => (0..17_i32).prop_map(Code::from_i32),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    // CONTRACT R1, R3
    #[test]
    fn where_tower_s_retry_can_do_it_both_make_the_same_attempts_and_end_with_the_same_code(
        script in proptest::collection::vec(any_code(), 0..8),
        attempts in 1..=6_u32,
    ) {
        let (code, sent) = play(Retrier::Ours, &script, attempts);
        let (towers_code, towers_sent) = play(Retrier::Tower, &script, attempts);
        prop_assert_eq!(code, towers_code);
        prop_assert_eq!(sent, towers_sent);
    }
}
