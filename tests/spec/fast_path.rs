//! An ordinary call goes to the channel itself, any other through all layers: nobody outside can tell
//! which way it went (the page of `stack`).

mod held_head;
mod method_cache;
mod parent_call;
mod readiness;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::call::{CallOptionsExt as _, Context};
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{CallReport, GiveUp, Resilience, Resilient};
use test_protos::{EchoRequest, EchoResponse};
use testing::{Answer, Server, details, grpc_frame, method};
use tokio::time::Instant;
use tonic::{Code, Request, Status};
use tower::ServiceBuilder;
use transports::Channel;

use crate::support::{SECOND, client, every, failures, hello, ms, settle, sources, unavailable};

/// What is to be seen of one call.
#[derive(Debug, PartialEq)]
struct Seen {
    outcome: Result<Vec<String>, String>,
    /// Code, reason, times by phase and failed attempts.
    report: Option<String>,
    /// For each attempt: when, the number of those before, what is left.
    attempts: Vec<(Duration, Option<String>, Option<String>)>,
    took: Duration,
    /// What it left behind.
    budget: String,
    channel: String,
}

#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each by itself")]
struct Case {
    streams: bool,
    told: bool,
    declared: bool,
    bounded: bool,
    waits: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        (0..32).map(|bits: u32| {
            let bit = |index: u32| bits & (1 << index) != 0;
            Self {
                streams: bit(0),
                told: bit(1),
                declared: bit(2),
                bounded: bit(3),
                waits: bit(4),
            }
        })
    }

    fn stack(self, server: &Server) -> Resilient<Channel> {
        let patience = WaitForReadyLayer::new().backoff(every(SECOND));
        let policy = RetryPolicy::new().backoff(every(ms(10)));
        let mut stack = Resilience::new()
            .retry_layer(RetryLayer::new(policy).seed(7))
            .wait_for_ready(if self.waits {
                patience
            } else {
                patience.fail_fast()
            });
        if self.told {
            stack = stack.unary(method::UNARY).unwrap();
        }
        if self.declared {
            stack = stack.idempotent("/test.v1.Echo/*").unwrap();
        }
        if self.bounded {
            stack = stack.default_timeout(5 * SECOND);
        }
        stack.wrap(server.channel())
    }

    /// A call with these answers, which somebody listens to or nobody does.
    async fn seen(self, answers: &[Answer], is_listened_to: bool) -> Seen {
        let server = Server::in_memory();
        let stack = self.stack(&server);
        client(stack.clone()).unary(hello()).await.unwrap();
        server.clear();
        let method = if self.streams {
            method::SERVER_STREAM
        } else {
            method::UNARY
        };
        server.script().on(method, answers.iter().cloned());
        let mut request = hello();
        let _listener = is_listened_to.then(|| request.call_report());
        let start = Instant::now();
        let outcome = self.outcome(&stack, request).await;
        let took = start.elapsed();
        settle().await;
        let attempts = server.calls().into_iter().map(|call| {
            let at = call.at - start;
            (at, call.previous_attempts, call.timeout)
        });
        let report = outcome.as_ref().err().and_then(|it| CallReport::find(it));
        Seen {
            attempts: attempts.collect(),
            took,
            report: report.map(|report| report.to_string()),
            outcome: outcome.map_err(|mut status| {
                // By a clock that no test stops.
                status.metadata_mut().remove("date");
                let reason = GiveUp::find(&status);
                format!("{status:?}\n{reason:?}\n{}", sources(&status))
            }),
            budget: format!("{:?}", stack.budgets()),
            channel: {
                let now = stack.readiness().snapshot();
                let due = now.next_dial.map(|due| due - start);
                format!(
                    "{:?}, {} failed dials, due {due:?}",
                    now.state, now.failed_dials
                )
            },
        }
    }

    async fn outcome(
        self,
        stack: &Resilient<Channel>,
        request: Request<EchoRequest>,
    ) -> Result<Vec<String>, Status> {
        let mut client = client(stack.clone());
        if !self.streams {
            let answer = client.unary(request).await?;
            return Ok(vec![answer.into_inner().text]);
        }
        let mut answers = client.server_stream(request).await?.into_inner();
        let mut texts = Vec::new();
        while let Some(answer) = answers.message().await? {
            texts.push(answer.text);
        }
        Ok(texts)
    }
}

fn frame(text: &str) -> Bytes {
    grpc_frame(&EchoResponse {
        text: text.to_owned(),
        ..EchoResponse::default()
    })
}

fn answers() -> Vec<Vec<Answer>> {
    let late = |message: &str| Answer::status_in_trailers(Code::Unavailable, message);
    let page = |status| Answer::http(status, "text/html", "<html>no</html>");
    let why = details(Code::Aborted, "why", &[]);
    vec![
        vec![Answer::handler()],
        vec![Answer::handler().metadata("x-zone", "b")],
        vec![Answer::handler().after(6 * SECOND)],
        failures(1),
        failures(2),
        failures(4),
        vec![unavailable("wait").pushback("700")],
        vec![unavailable("no").pushback("-1")],
        vec![unavailable("later").retry_info(SECOND)],
        vec![unavailable("much later").retry_info(9 * SECOND)],
        vec![Answer::status(Code::Ok, "nothing at all")],
        vec![Answer::status(Code::PermissionDenied, "not you").metadata("x-zone", "b")],
        vec![Answer::status(Code::Aborted, "no").details(&why)],
        vec![Answer::status(Code::Aborted, "no").details_raw("!")],
        vec![Answer::status(Code::Cancelled, "near").after(5 * SECOND)],
        vec![late("late")],
        vec![late("late"), late("again")],
        vec![late("late").details_raw("%")],
        vec![late("near").after(5 * SECOND)],
        vec![Answer::status_in_trailers(Code::Ok, "")],
        vec![Answer::status_after_message(
            Code::Internal,
            "half",
            frame("one"),
        )],
        vec![Answer::status_after_message(Code::Ok, "", frame("one")).frame(frame("two"))],
        vec![page(http::StatusCode::SERVICE_UNAVAILABLE)],
        vec![page(http::StatusCode::OK)],
        vec![Answer::http(
            http::StatusCode::OK,
            "application/grpc",
            frame("cut"),
        )],
        vec![Answer::http(http::StatusCode::OK, "application/grpc", "")],
        vec![Answer::drop_connection()],
        vec![Answer::drop_connection(), Answer::drop_connection()],
    ]
}

/// What never ends but at the deadline.
fn hanging() -> Vec<Vec<Answer>> {
    let one = || Answer::hang_after_head().frame(frame("one"));
    vec![
        vec![Answer::hang()],
        vec![unavailable("first"), Answer::hang()],
        vec![Answer::hang_after_head()],
        vec![one()],
        vec![one().frame(frame("two"))],
    ]
}

async fn is_the_same_both_ways(case: Case, answers: &[Answer]) {
    let direct = case.seen(answers, false).await;
    let layered = case.seen(answers, true).await;
    assert_eq!(direct, layered, "{case:?}: {answers:?}");
}

#[transports::test(start_paused = true)]
async fn an_ordinary_call_ends_as_one_through_all_layers_does() {
    for case in Case::all() {
        for answers in answers() {
            is_the_same_both_ways(case, &answers).await;
        }
    }
}

#[transports::test(start_paused = true)]
async fn an_ordinary_call_expires_as_one_through_all_layers_does() {
    for case in Case::all().filter(|case| case.bounded) {
        for answers in hanging() {
            is_the_same_both_ways(case, &answers).await;
        }
    }
}

/// A channel that went down after it had worked, and is up again after three seconds.
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn an_ordinary_call_that_was_never_sent_waits_as_one_through_all_layers_does() {
    let seen = async |is_listened_to: bool| {
        let server = Server::in_memory();
        let case = Case {
            streams: false,
            told: false,
            declared: false,
            bounded: true,
            waits: true,
        };
        let stack = case.stack(&server);
        client(stack.clone()).unary(hello()).await.unwrap();
        server.stop();
        settle().await;
        server.clear();
        let start = Instant::now();
        let calls: Vec<_> = (0..3)
            .map(|_| {
                let mut request = hello();
                let listener = is_listened_to.then(|| request.call_report());
                let mut client = client(stack.clone());
                tokio::spawn(async move {
                    let outcome = client.unary(request).await.map(|_| start.elapsed());
                    drop(listener);
                    outcome.map_err(|status| status.to_string())
                })
            })
            .collect();
        tokio::time::sleep(ms(2_500)).await;
        server.start().await;
        let mut outcomes = Vec::new();
        for call in calls {
            outcomes.push(call.await.unwrap());
        }
        let attempts: Vec<_> = server.calls().into_iter().map(|it| it.timeout).collect();
        (outcomes, attempts, server.dials())
    };
    let direct = seen(false).await;
    assert!(direct.0.iter().all(Result::is_ok), "{direct:?}");
    assert_eq!(direct, seen(true).await);
}

/// That the tests above compare two ways at all.
#[transports::test(start_paused = true)]
async fn nobody_writes_an_ordinary_call_down_before_its_first_attempt_fails() {
    let server = Server::in_memory();
    let followed = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&followed);
    let channel = ServiceBuilder::new()
        .map_request(move |request: http::Request<tonic::body::Body>| {
            let context = request.extensions().get::<Context>().unwrap();
            let is_followed = grpc_resilience::__internal::is_followed(context);
            let mut seen = seen.lock().unwrap();
            seen.push((context.attempt(), is_followed, context.deadline().is_some()));
            drop(seen);
            request
        })
        .service(server.channel());
    let stack = Resilience::new().default_timeout(SECOND).wrap(channel);
    // The first call tests the channel.
    client(stack.clone()).unary(hello()).await.unwrap();
    server.script().on(method::UNARY, failures(1));
    let mut request = hello();
    request.call_options().idempotent();
    client(stack).unary(request).await.unwrap();
    let expected = [
        (Some(1), true, true),
        (Some(1), false, true),
        (Some(2), true, true),
    ];
    assert_eq!(*followed.lock().unwrap(), expected);
}
