//! A served call that is over ends the calls that were made for it (CONTRACT D10).

use std::future::pending;

use grpc_resilience::call::{CallOptionsExt, ParentCall};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::{GiveUp, Resilience};
use test_protos::EchoResponse;
use testing::method::{SERVER_STREAM, UNARY};
use testing::{Call, Server};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};
use tower::ServiceBuilder;
use transports::Transport;

use crate::support::{SECOND, Stack, all_ended, client, hello, ms};

use super::closures::{Answers, Front, Stops, calls_to};
use super::raw_http2::Raw;

const FORSAKEN: &str = "the parent call ended while ";

type Ended = UnboundedSender<Status>;

/// Makes a call in the handler's own task and two in tasks that carry the served one; none ends by
/// itself.
fn calling<T: Stack + Sync>(stack: T, stops: &Stops) -> (Front, UnboundedReceiver<Status>) {
    let (ended, statuses) = unbounded_channel();
    let stops = stops.clone();
    let front = Front::unary(move |request| {
        let served = request.extensions().get::<ParentCall>().unwrap().clone();
        spawn_two(&stack, &served, &ended);
        let (mut own, guard) = (client(stack.clone()), stops.guard());
        async move {
            let _guard = guard;
            own.unary(hello()).await.map(tonic::Response::into_inner)
        }
    });
    (front, statuses)
}

fn spawn_two<T: Stack>(stack: &T, served: &ParentCall, ended: &Ended) {
    let (mut scoped, mut inheriting) = (client(stack.clone()), client(stack.clone()));
    let mut request = hello();
    request.call_options().parent(served);
    let (ended, other) = (ended.clone(), ended.clone());
    tokio::spawn(served.clone().scope(async move {
        let status = scoped.unary(hello()).await.unwrap_err();
        ended.send(status).unwrap();
    }));
    tokio::spawn(async move {
        let status = inheriting.unary(request).await.unwrap_err();
        other.send(status).unwrap();
    });
}

fn is_forsaken(status: &Status) {
    assert_eq!(status.code(), Code::Cancelled, "{status}");
    assert!(status.message().starts_with(FORSAKEN), "{status}");
    assert_eq!(GiveUp::find(status), Some(GiveUp::Cancelled), "{status}");
}

/// Makes two calls in tasks that carry the served one, and then answers so.
fn calling_aside<F>(
    back: &Server,
    answer: impl Fn() -> F + Send + Sync + 'static,
) -> (Front, UnboundedReceiver<Status>)
where
    F: Future<Output = Result<EchoResponse, Status>> + Send + 'static,
{
    let (ended, statuses) = unbounded_channel();
    let stack = tower::Layer::layer(&DeadlineLayer::new(), back.channel());
    let front = Front::unary(move |request| {
        let served = request.extensions().get::<ParentCall>().unwrap();
        spawn_two(&stack, served, &ended);
        answer()
    });
    (front, statuses)
}

/// What the two calls in other tasks end with.
async fn both(statuses: &mut UnboundedReceiver<Status>) -> [Status; 2] {
    let mut next = async || {
        let status = timeout(60 * SECOND, statuses.recv()).await;
        status.unwrap().unwrap()
    };
    [next().await, next().await]
}

async fn all_forsaken(back: &Server, statuses: &mut UnboundedReceiver<Status>) {
    for _ in 0..2 {
        let status = timeout(SECOND, statuses.recv()).await.unwrap().unwrap();
        is_forsaken(&status);
    }
    let calls = all_ended(back).await;
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(Call::cancelled));
}

// CONTRACT D10
#[transports::test(start_paused = true)]
async fn a_caller_that_drops_its_call_cancels_all_that_were_made_for_it() {
    let (back, stops) = (Server::hanging(), Stops::new());
    let stack = tower::Layer::layer(&DeadlineLayer::new(), back.channel());
    let (front, mut statuses) = calling(stack, &stops);
    let front = front.serve();
    let call = async { calls_to(&front).unary(hello()).await };
    assert!(timeout(ms(100), call).await.is_err());
    all_forsaken(&back, &mut statuses).await;
    assert_eq!(stops.times(), [ms(100)]);
    assert!(all_ended(&front).await[0].cancelled());
}

// CONTRACT D10
#[transports::test(start_paused = true)]
async fn a_caller_that_resets_its_stream_cancels_all_that_were_made_for_it() {
    let (back, stops) = (Server::hanging(), Stops::new());
    let stack = Resilience::new().wrap(back.channel());
    let (front, mut statuses) = calling(stack, &stops);
    let raw = Raw::in_memory(front).await;
    let open = raw.open(UNARY, Some("1S")).await;
    back.wait_for_calls(3).await;
    open.reset();
    all_forsaken(&back, &mut statuses).await;
    assert_eq!(stops.times().len(), 1);
    assert!(stops.times()[0] < ms(10), "{:?}", stops.times());
}

// CONTRACT D10
#[transports::test(start_paused = true)]
async fn a_connection_that_breaks_cancels_all_that_were_made_for_its_calls() {
    let (back, stops) = (Server::hanging(), Stops::new());
    let stack = Resilience::new().wrap(back.channel());
    let (front, mut statuses) = calling(stack, &stops);
    let raw = Raw::in_memory(front).await;
    let _open = raw.open(UNARY, None).await;
    back.wait_for_calls(3).await;
    raw.cut();
    all_forsaken(&back, &mut statuses).await;
    assert_eq!(stops.times().len(), 1);
}

// CONTRACT D10
#[transports::test(start_paused = true)]
async fn a_call_that_was_answered_cancels_what_was_left_of_those_made_for_it() {
    let back = Server::hanging();
    let (front, mut statuses) = calling_aside(&back, || async {
        sleep(ms(50)).await;
        Ok(EchoResponse::default())
    });
    let start = Instant::now();
    calls_to(&front.serve()).unary(hello()).await.unwrap();
    both(&mut statuses).await.iter().for_each(is_forsaken);
    assert_eq!(start.elapsed(), ms(50));
    assert!(all_ended(&back).await.iter().all(Call::cancelled));
}

// CONTRACT D10
#[transports::test(start_paused = true)]
async fn a_streamed_answer_is_over_at_its_last_trailer_and_not_before() {
    let back = Server::hanging();
    let (ended, mut statuses) = unbounded_channel();
    let stack = tower::Layer::layer(&DeadlineLayer::new(), back.channel());
    let front = Front::stream(move |request| {
        let served = request.extensions().get::<ParentCall>().unwrap();
        spawn_two(&stack, served, &ended);
        async {
            let answers = tokio_stream::iter(0..3).then(|_| async {
                sleep(ms(50)).await;
                Ok(EchoResponse::default())
            });
            Ok(Box::pin(answers) as Answers)
        }
    });
    let raw = Raw::in_memory(front).await;
    let start = Instant::now();
    let answer = raw.call(SERVER_STREAM, None).await;
    assert_eq!((answer.status().0, answer.took), (Code::Ok, ms(150)));
    both(&mut statuses).await.iter().for_each(is_forsaken);
    assert_eq!(start.elapsed(), ms(150));
}

// CONTRACT D10: what is over has nobody to make a call for
#[transports::test(start_paused = true)]
async fn a_call_made_for_one_that_is_over_never_leaves() {
    let back = Server::in_memory();
    let (ended, mut statuses) = unbounded_channel();
    let (bare, full) = (calls_to(&back), Resilience::new().wrap(back.channel()));
    let front = Front::unary(move |request| {
        let served = request.extensions().get::<ParentCall>().unwrap().clone();
        let (mut bare, mut full) = (bare.clone(), client(full.clone()));
        let ended = ended.clone();
        tokio::spawn(served.clone().scope(async move {
            served.ended().await;
            assert!(served.is_over());
            for status in [bare.unary(hello()).await, full.unary(hello()).await] {
                ended.send(status.unwrap_err()).unwrap();
            }
        }));
        async { Ok(EchoResponse::default()) }
    });
    calls_to(&front.serve()).unary(hello()).await.unwrap();
    both(&mut statuses).await.iter().for_each(is_forsaken);
    assert_eq!(back.count(), 0);
    // Ours connects when it is built.
    assert_eq!(back.dials() > 0, Transport::current().is_ours());
}

// CONTRACT D8, D10
#[transports::test(start_paused = true)]
async fn a_call_that_ends_with_the_served_one_is_not_tried_again() {
    let (back, stops) = (Server::hanging(), Stops::new());
    let retry = RetryLayer::new(RetryPolicy::new().assume_idempotent());
    let stack = ServiceBuilder::new()
        .layer(retry)
        .layer(DeadlineLayer::new());
    let (front, mut statuses) = calling(stack.service(back.channel()), &stops);
    let front = front.serve();
    let call = async { calls_to(&front).unary(hello()).await };
    assert!(timeout(ms(100), call).await.is_err());
    for status in both(&mut statuses).await {
        assert_eq!(status.code(), Code::Cancelled, "{status}");
    }
    sleep(60 * SECOND).await;
    assert_eq!(all_ended(&back).await.len(), 3);
}

// CONTRACT D10
#[transports::test(start_paused = true)]
async fn a_handler_that_panics_cancels_the_calls_that_were_made_for_it() {
    let back = Server::hanging();
    let (front, mut statuses) = calling_aside(&back, || async {
        sleep(ms(20)).await;
        std::panic::resume_unwind(Box::new("the handler's panic"));
    });
    let front = front.serve();
    calls_to(&front).unary(hello()).await.unwrap_err();
    both(&mut statuses).await.iter().for_each(is_forsaken);
    assert!(all_ended(&back).await.iter().all(Call::cancelled));
}

// CONTRACT D5, D10: the deadline is the caller's to hear, in its own task and in others
#[transports::test(start_paused = true)]
async fn at_the_deadline_the_calls_made_for_it_have_ended_by_the_margin_before() {
    let back = Server::hanging();
    let (front, mut statuses) = calling_aside(&back, pending);
    let raw = Raw::in_memory(front).await;
    let start = Instant::now();
    let (answer, ()) = tokio::join!(raw.call(UNARY, Some("100m")), async {
        for status in both(&mut statuses).await {
            assert_eq!(status.code(), Code::DeadlineExceeded);
            assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
        }
        assert_eq!(start.elapsed(), ms(95));
    });
    assert_eq!(answer.status().0, Code::DeadlineExceeded);
    assert_eq!(answer.took, ms(100));
}
