//! What calls made on behalf of a served one have of its deadline (CONTRACT D6).

use std::time::Duration;

use grpc_resilience::call::{CallOptionsExt, ParentCall};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::server_deadline::ServerDeadlineLayer;
use test_protos::{EchoRequest, EchoResponse};
use testing::{Answer, Server, method};
use tokio::time::{Instant, sleep};
use tokio_stream::StreamExt as _;
use tonic::{Code, Request};
use tower::ServiceBuilder;

use crate::support::{SECOND, client, hello, ms, timeouts, unavailable};

use super::closures::{Answers, Calls, Front, calls_to};

/// A call with this timeout, or without any.
pub(super) fn within(timeout: Option<Duration>) -> Request<EchoRequest> {
    let mut request = hello();
    if let Some(timeout) = timeout {
        request.call_options().timeout(timeout);
    }
    request
}

// CONTRACT D6
#[transports::test(start_paused = true)]
async fn each_hop_gets_a_margin_less_than_the_one_before() {
    let last = Server::in_memory();
    let third = Front::passing_on(&calls_to(&last)).serve();
    let layer = ServerDeadlineLayer::new().margin(ms(100));
    let second = Front::passing_on(&calls_to(&third)).serve_under(layer);
    let first = Front::passing_on(&calls_to(&second)).serve();
    let request = within(Some(SECOND));
    calls_to(&first).unary(request).await.unwrap();
    let heard = [&first, &second, &third, &last].map(|hop| timeouts(&hop.calls()));
    let expected = [1_000_000, 995_000, 895_000, 890_000].map(|left| vec![Some(left)]);
    assert_eq!(heard, expected);
}

// CONTRACT D2, D6
#[transports::test(start_paused = true)]
async fn what_the_handler_took_is_gone_for_the_calls_that_it_makes() {
    let back = Server::in_memory();
    let to = calls_to(&back);
    let front = Front::unary(move |_| {
        let mut to = to.clone();
        async move {
            for _ in 0..2 {
                sleep(ms(300)).await;
                to.unary(hello()).await?;
            }
            Ok(EchoResponse::default())
        }
    });
    let request = within(Some(SECOND));
    calls_to(&front.serve()).unary(request).await.unwrap();
    assert_eq!(timeouts(&back.calls()), [Some(695_000), Some(395_000)]);
}

// CONTRACT D6
#[transports::test(start_paused = true)]
async fn with_no_more_than_the_margin_left_no_call_is_made() {
    let back = Server::in_memory();
    let front = Front::passing_on(&calls_to(&back)).serve();
    let start = Instant::now();
    let status = calls_to(&front)
        .unary(within(Some(ms(5))))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!((start.elapsed(), back.count()), (Duration::ZERO, 0));
}

/// How a handler makes a call in a task of its own.
#[derive(Clone, Copy, Debug)]
enum Carried {
    InScope,
    ByOption,
    NotAtAll,
}

async fn spawned(how: Carried, mut to: Calls, request: Request<EchoRequest>) -> EchoResponse {
    let served = request.extensions().get::<ParentCall>().unwrap().clone();
    let mut request = hello();
    if matches!(how, Carried::ByOption) {
        request.call_options().parent(&served);
    }
    let call = async move { to.unary(request).await.unwrap().into_inner() };
    let task = match how {
        Carried::InScope => tokio::spawn(served.scope(call)),
        Carried::ByOption | Carried::NotAtAll => tokio::spawn(call),
    };
    task.await.unwrap()
}

// CONTRACT D6
#[transports::test(start_paused = true)]
async fn a_spawned_task_inherits_what_it_carries_and_nothing_else() {
    for (how, expected) in [
        (Carried::InScope, Some(995_000)),
        (Carried::ByOption, Some(995_000)),
        (Carried::NotAtAll, None),
    ] {
        let back = Server::in_memory();
        let to = calls_to(&back);
        let front = Front::unary(move |request| {
            let to = to.clone();
            async move { Ok(spawned(how, to, request).await) }
        });
        let request = within(Some(SECOND));
        calls_to(&front.serve()).unary(request).await.unwrap();
        assert_eq!(timeouts(&back.calls()), [expected], "{how:?}");
    }
}

// CONTRACT D6
#[transports::test(start_paused = true)]
async fn calls_made_while_the_answer_is_streamed_inherit_too() {
    let back = Server::in_memory();
    let to = calls_to(&back);
    let front = Front::stream(move |_| {
        let to = to.clone();
        async move {
            let answers = tokio_stream::iter([to.clone(), to]).then(|mut to| async move {
                sleep(ms(200)).await;
                Ok(to.unary(hello()).await?.into_inner())
            });
            Ok(Box::pin(answers) as Answers)
        }
    });
    let front = front.serve();
    let answers = calls_to(&front).server_stream(within(Some(SECOND))).await;
    let mut answers = answers.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}
    assert_eq!(timeouts(&back.calls()), [Some(795_000), Some(595_000)]);
}

// CONTRACT D2, D6
#[transports::test(start_paused = true)]
async fn each_attempt_inherits_wherever_the_deadline_stands() {
    let back = Server::in_memory();
    let retry = || RetryLayer::new(RetryPolicy::new().assume_idempotent());
    let below = ServiceBuilder::new()
        .layer(retry())
        .layer(DeadlineLayer::new());
    let above = ServiceBuilder::new()
        .layer(DeadlineLayer::new())
        .layer(retry());
    let below = client(below.service(back.channel()));
    let above = client(above.service(back.channel()));
    let front = Front::unary(move |_| {
        let (mut below, mut above) = (below.clone(), above.clone());
        async move {
            below.unary(hello()).await?;
            above.unary(hello()).await.map(tonic::Response::into_inner)
        }
    });
    let answers = [
        unavailable("down").pushback("200"),
        Answer::handler(),
        unavailable("down").pushback("300"),
    ];
    back.script().on(method::UNARY, answers);
    let request = within(Some(SECOND));
    calls_to(&front.serve()).unary(request).await.unwrap();
    let left = [995_000, 795_000, 795_000, 495_000].map(Some);
    assert_eq!(timeouts(&back.calls()), left);
}
