//! Nothing is left of a call that is dropped, in whichever phase (CONTRACT D10, R13).

use std::time::Duration;

use grpc_resilience::call::{CallOptionsExt, ParentCall};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use test_protos::EchoResponse;
use testing::{Answer, Outcome, Server};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt as _;
use tonic::Status;
use tower::ServiceBuilder;

use crate::support::{
    SECOND, Stack, all_ended, client, every, hello, message, ms, settle, unavailable,
};

use super::closures::{Answers, Calls, Front, Stops, calls_to};

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn is_running(server: &Server) -> bool {
    let calls = server.calls();
    calls.iter().any(|call| call.outcome == Outcome::Running)
}

/// Waits, fails, waits, and then has an answer that streams.
fn stack(server: &Server) -> impl Stack + Sync {
    let policy = RetryPolicy::new().assume_idempotent();
    ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(60 * SECOND))
        .layer(RetryLayer::new(policy.backoff(every(ms(5)))))
        .layer(WaitForReadyLayer::new().backoff(every(ms(5))))
        .service(server.channel())
}

fn script(server: &Server) {
    let script = server.script();
    script.clear();
    script.next(unavailable("down").after(ms(5)));
    script.next(unavailable("down").reading_messages(1).after(ms(5)));
    script.otherwise(Answer::handler().after(ms(5)));
}

/// Three messages, 5 ms apart.
fn ticks() -> impl tokio_stream::Stream<Item = test_protos::EchoRequest> + Send {
    let ticks = tokio::time::interval(ms(5));
    let ticks = tokio_stream::wrappers::IntervalStream::new(ticks);
    ticks.take(3).map(|_| message("tick"))
}

async fn unary<T: Stack>(stack: T) -> Result<(), Status> {
    client(stack).unary(hello()).await.map(drop)
}

async fn bidi<T: Stack>(stack: T) -> Result<(), Status> {
    let mut answers = client(stack).bidi_stream(ticks()).await?.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}

// CONTRACT R13, B5
#[transports::test(start_paused = true)]
async fn a_call_dropped_in_any_phase_leaves_no_task_no_timer_and_no_call_at_the_server() {
    let server = Server::in_memory();
    let stack = stack(&server);
    unary(stack.clone()).await.unwrap();
    settle().await;
    let before = alive();
    let mut ended = [0, 0];
    for drop_after in 0..60 {
        for (kind, ended) in ended.iter_mut().enumerate() {
            script(&server);
            let patience = ms(drop_after);
            let call = match kind {
                0 => timeout(patience, unary(stack.clone())).await,
                _ => timeout(patience, bidi(stack.clone())).await,
            };
            *ended += usize::from(call.is_ok_and(|call| call.is_ok()));
            settle().await;
            assert!(!is_running(&server), "kind {kind}, after {drop_after} ms");
            assert_eq!(alive(), before, "kind {kind}, after {drop_after} ms");
            let count = server.count();
            sleep(SECOND).await;
            assert_eq!(server.count(), count, "kind {kind}, after {drop_after} ms");
            server.clear();
        }
    }
    assert!(
        ended.iter().all(|ended| (1..60).contains(ended)),
        "{ended:?}"
    );
}

/// Works by itself, makes a call, answers, makes calls while it streams; and has a task of its own
/// at work all the time.
fn busy(to: &Calls, stops: &Stops) -> Front {
    let (to, stops) = (to.clone(), stops.clone());
    Front::stream(move |request| {
        let served = request.extensions().get::<ParentCall>().unwrap().clone();
        let (mut own, mut beside, guard) = (to.clone(), to.clone(), stops.guard());
        tokio::spawn(served.scope(async move { while beside.unary(hello()).await.is_ok() {} }));
        async move {
            sleep(ms(5)).await;
            own.unary(hello()).await?;
            let answers = tokio_stream::iter(vec![own; 3]).then(|mut own| async move {
                own.unary(hello()).await?;
                sleep(ms(2)).await;
                Ok(EchoResponse::default())
            });
            let guarded = answers.map(move |answer| (&guard, answer).1);
            Ok(Box::pin(guarded) as Answers)
        }
    })
}

async fn read(mut to: Calls, within: Option<Duration>) -> Result<(), Status> {
    let mut request = hello();
    if let Some(within) = within {
        request.call_options().timeout(within);
    }
    let mut answers = to.server_stream(request).await?.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}

// CONTRACT D10, B5
#[transports::test(start_paused = true)]
async fn a_served_call_dropped_in_any_phase_of_its_handler_takes_all_with_it() {
    let back = Server::in_memory();
    back.script().otherwise(Answer::handler().after(ms(5)));
    let stops = Stops::new();
    let front = busy(&calls_to(&back), &stops).serve();
    let to = calls_to(&front);
    read(to.clone(), None).await.unwrap();
    settle().await;
    let before = alive();
    let (mut ended, mut dropped) = (0, 0);
    for by_deadline in [false, true] {
        for drop_after in 0..45 {
            let (start, stopped) = (Instant::now(), stops.times().len());
            let within = by_deadline.then_some(ms(drop_after));
            let patience = if by_deadline { SECOND } else { ms(drop_after) };
            let call = timeout(patience, read(to.clone(), within)).await;
            let has_ended = call.is_ok_and(|call| call.is_ok());
            ended += u32::from(has_ended);
            assert!(start.elapsed() <= ms(drop_after));
            settle().await;
            assert!(!is_running(&front), "after {drop_after} ms");
            assert!(!is_running(&back), "after {drop_after} ms");
            assert_eq!(alive(), before, "after {drop_after} ms");
            dropped += stops.times().len() - stopped;
            let counts = (front.count(), back.count());
            sleep(SECOND).await;
            assert_eq!(
                (front.count(), back.count()),
                counts,
                "after {drop_after} ms"
            );
        }
    }
    assert!((2..90).contains(&ended), "{ended}");
    assert!(dropped > 80, "{dropped}");
}

// CONTRACT D6, D10
#[transports::test(start_paused = true)]
async fn over_three_hops_the_last_stops_first_and_no_task_is_left() {
    let stops = Stops::new();
    let until = stops.clone();
    let last = Front::unary(move |_| {
        let guard = until.guard();
        async move {
            let _guard = guard;
            loop {
                sleep(ms(1)).await;
            }
        }
    });
    let last = last.serve();
    let middle = Front::passing_on(&calls_to(&last)).serve();
    let first = Front::passing_on(&calls_to(&middle)).serve();
    let mut to = calls_to(&first);
    let mut before = 0;
    for (round, deadline) in [ms(50), ms(100), ms(100)].into_iter().enumerate() {
        let start = Instant::now();
        let mut request = hello();
        request.call_options().timeout(deadline);
        let status = to.unary(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded, "{status}");
        assert!(start.elapsed() <= deadline);
        for hop in [&first, &middle, &last] {
            all_ended(hop).await;
        }
        settle().await;
        assert_eq!(stops.times().len(), round + 1);
        // The connections' own tasks are there from the first round on.
        if round > 0 {
            assert_eq!(alive(), before);
        }
        before = alive();
    }
    // By a margin for each of two hops.
    assert_eq!(stops.times()[0], ms(40));
}
