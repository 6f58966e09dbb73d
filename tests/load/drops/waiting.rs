//! What is left of calls that wait for their channel and are dropped at any point of their way.

use std::time::Duration;

use grpc_resilience::Resilience;
use grpc_resilience::wait_for_ready::{Readiness, WaitForReadyLayer};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use test_protos::EchoClient;
use testing::{Outcome, SECOND, Server, every};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::Request;

use crate::ALLOCATOR;
use crate::support::alone;

use super::calls::{answer, dropped, message};

const ROUNDS: u64 = 200;
const CALLS_OF_A_ROUND: u64 = 100;
/// Until what is made once is made.
const WARM_UP: u64 = 20;
/// Fewer than the calls of a round: some are refused.
const MOST_WAITING: usize = 60;
/// The tables of a runtime, a log and a channel grow a little.
const SLACK: usize = 64 * 1024;

// CONTRACT W7, R13
#[test]
fn nothing_is_left_of_waiting_calls_that_are_dropped_at_any_point() {
    alone(nothing_is_left());
}

fn layer() -> WaitForReadyLayer {
    WaitForReadyLayer::new()
        .backoff(every(Duration::from_millis(8)))
        .max_waiting(MOST_WAITING)
        .release_rate(10_000)
        .unwrap()
}

async fn nothing_is_left() {
    let server = Server::in_memory_unstarted();
    let readiness = Readiness::new();
    let stack = Resilience::new().wait_for_ready(layer().readiness(&readiness));
    let stack = stack.wrap(server.channel());
    let metrics = Handle::current().metrics();
    let (mut ended, mut reached, mut most, mut before) = (0, 0, 0, None);
    for round in 0..ROUNDS {
        let mut rng = StdRng::seed_from_u64(round);
        let mut calls = JoinSet::new();
        server.script().clear();
        server.set_dial_time(Duration::from_millis(rng.random_range(0..6)));
        for call in 0..CALLS_OF_A_ROUND {
            let mut rng = StdRng::seed_from_u64(round * CALLS_OF_A_ROUND + call);
            server.script().next(answer(&mut rng));
            calls.spawn(dropped(EchoClient::new(stack.clone()), rng));
        }
        // The server is there in the middle of it, and then not any more.
        for _ in 0..2 {
            sleep(Duration::from_millis(rng.random_range(1..12))).await;
            most = most.max(readiness.snapshot().waiting);
            server.start().await;
            sleep(Duration::from_millis(rng.random_range(1..12))).await;
            server.stop();
        }
        let calls = calls.join_all().await;
        ended += calls.iter().filter(|(ended, _)| *ended).count();
        drop(calls);
        sleep(SECOND).await;

        let now = readiness.snapshot();
        assert_eq!(
            (now.waiting, now.waiting_bytes),
            (0, 0),
            "round {round}: {now}"
        );
        let calls = server.calls();
        let is_running = |call: &testing::Call| call.outcome == Outcome::Running;
        assert!(!calls.iter().any(is_running), "round {round}");
        reached += calls.len();
        drop(calls);
        server.clear();
        if round >= WARM_UP {
            let left = (metrics.num_alive_tasks(), ALLOCATOR.current_usage());
            let (tasks, bytes) = *before.get_or_insert(left);
            assert_eq!(left.0, tasks, "round {round}");
            assert!(
                left.1 <= bytes + SLACK,
                "round {round}: {} B more",
                left.1 - bytes
            );
        }
    }
    eprintln!("{ended} ended, {reached} reached the server, up to {most} waited at once");
    // The chance was a chance.
    assert!(ended > 0 && reached > 0 && most == MOST_WAITING);

    // Whoever waits is not forgotten after all that.
    let mut client = EchoClient::new(stack);
    let waiting = tokio::spawn(async move { client.unary(Request::new(message(1))).await });
    sleep(SECOND).await;
    server.script().clear();
    server.start().await;
    waiting.await.unwrap().unwrap();
}
