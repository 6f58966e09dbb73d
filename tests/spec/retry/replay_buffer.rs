//! What a call takes of the channel's replay buffer comes back, however the call ends.

use std::sync::atomic::{AtomicU32, Ordering};

use grpc_resilience::Resilience;
use grpc_resilience::call::{AttemptKind, Budget, CallOptionsExt as _, Permit};
use grpc_resilience::retry::RetryLayer;
use testing::{Server, method};
use tower::{Layer as _, ServiceBuilder};

use crate::support::{Stack, client, failures, hello, policy, spawn};

/// Of so little that some calls which kept what they took would have used it up.
fn small() -> RetryLayer {
    RetryLayer::new(policy()).replay_buffer(100)
}

/// A retry shows that there is room.
async fn has_room<T: Stack>(server: &Server, stack: T) {
    server.script().on(method::UNARY, failures(1));
    let mut request = hello();
    request.call_options().idempotent();
    client(stack).unary(request).await.unwrap();
}

// CONTRACT R8
#[transports::test(start_paused = true)]
async fn a_call_that_may_make_no_attempt_takes_nothing_of_the_replay_buffer() {
    let server = Server::in_memory();
    let stack = small().layer(server.channel());
    for _ in 0..20 {
        let mut request = hello();
        request.call_options().max_attempts(0);
        client(stack.clone()).unary(request).await.unwrap_err();
    }
    has_room(&server, stack).await;
}

// CONTRACT R8
#[transports::test(start_paused = true)]
async fn calls_that_succeed_or_are_dropped_give_back_what_they_took_of_the_replay_buffer() {
    let server = Server::in_memory();
    let stack = Resilience::new()
        .retry_layer(small())
        .wrap(server.channel());
    for number in 0..20 {
        let call = spawn(&stack, hello());
        if number % 2 == 0 {
            call.await.unwrap().unwrap();
        } else {
            call.abort();
            call.await.unwrap_err();
        }
    }
    has_room(&server, stack).await;
}

/// Panics in the calls from the second to the twentieth.
#[derive(Debug, Default)]
struct Panicking(AtomicU32);

impl Budget for Panicking {
    fn call_started(&self) {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(!(1..20).contains(&number), "not this one");
    }

    fn succeeded(&self) {}

    fn failed(&self) {}

    fn permit(&self, _: AttemptKind) -> Option<Permit> {
        Some(Permit::free())
    }
}

async fn survives_panics<T: Stack>(server: &Server, stack: T) {
    for number in 0..20 {
        let call = spawn(&stack, hello());
        assert_eq!(call.await.is_err(), number > 0, "{number}");
    }
    has_room(server, stack).await;
}

// CONTRACT R8
#[transports::test(start_paused = true)]
async fn a_budget_that_panics_costs_nothing_of_the_replay_buffer() {
    let server = Server::in_memory();
    let whole = Resilience::new()
        .retry_layer(small())
        .budget(Panicking::default());
    survives_panics(&server, whole.wrap(server.channel())).await;
    let alone = ServiceBuilder::new()
        .layer(grpc_resilience::BudgetLayer::new(Panicking::default()))
        .layer(small())
        .service(server.channel());
    survives_panics(&server, alone).await;
}
