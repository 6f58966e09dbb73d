//! A dial whose caller left before it ended. Its error stays in tonic's channel, for whoever comes next.

use std::time::Duration;

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use testing::Server;
use tokio::time::{Instant, sleep};
use tonic::Code;
use tower::ServiceBuilder;

use crate::support::{SECOND, Stack, client, every, hello, ms, settle};

fn stack(server: &Server) -> impl Stack {
    ServiceBuilder::new()
        .layer(DeadlineLayer::new())
        .layer(WaitForReadyLayer::new().backoff(every(10 * SECOND)))
        .service(server.channel())
}

/// Makes a call that has less time than its dial takes, and waits until the dial is over too.
async fn leave_a_dial<T: Stack>(server: &Server, stack: &T) {
    server.set_dial_time(ms(500));
    let mut hasty = hello();
    hasty.call_options().timeout(ms(100));
    let status = client(stack.clone()).unary(hasty).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    sleep(ms(900)).await;
    server.set_dial_time(Duration::ZERO);
}

// FIELD.md 5: a transport keeps the error of an old dial, and serves it to the next call
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn the_error_of_a_dial_that_nobody_waited_for_costs_a_later_call_no_backoff() {
    let server = Server::in_memory_unstarted();
    let stack = stack(&server);
    leave_a_dial(&server, &stack).await;
    sleep(60 * SECOND).await;
    server.start().await;
    let start = Instant::now();
    client(stack).unary(hello()).await.unwrap();
    assert!(start.elapsed() <= ms(2), "{:?}", start.elapsed());
    assert_eq!(server.dials(), 2);
}

// FIELD.md 5
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn nor_does_it_after_a_success_and_a_connection_that_was_lost_since() {
    let server = Server::in_memory();
    let stack = stack(&server);
    client(stack.clone()).unary(hello()).await.unwrap();
    server.stop();
    settle().await;
    leave_a_dial(&server, &stack).await;
    sleep(60 * SECOND).await;
    server.start().await;
    let start = Instant::now();
    client(stack).unary(hello()).await.unwrap();
    assert!(start.elapsed() <= ms(2), "{:?}", start.elapsed());
}

// CONTRACT W5: who leaves its dial to others makes them dial no sooner than the backoff says
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn callers_that_leave_their_dials_do_not_hurry_the_schedule() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(ms(500));
    let stack = stack(&server);
    let start = Instant::now();
    while start.elapsed() < 60 * SECOND {
        let mut hasty = hello();
        hasty.call_options().timeout(ms(100));
        let _ = client(stack.clone()).unary(hasty).await.unwrap_err();
    }
    let dials = server.dials();
    assert!((5..=7).contains(&dials), "{dials} dials in a minute");
}
