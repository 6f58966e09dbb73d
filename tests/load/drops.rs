//! What is left of calls that are dropped at any point of their way.

mod budget;
mod calls;
mod spent;
mod waiting;
mod waiting_calls;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::budget::BudgetLayer;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::{BoxError, GiveUp};
use http::Request;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use test_protos::EchoClient;
use testing::{Answer, Outcome, SECOND, Server, method};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::Code;
use tonic::body::Body;
use tonic::client::GrpcService;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

use super::support::{Messages, alone, policy};

use budget::Counting;
use calls::{answer, declared, dropped, message};

const ROUNDS: u64 = 100;
const CALLS_OF_A_ROUND: u64 = 100;
/// Shorter than some calls live, longer than most answers take.
const ATTEMPT: Duration = Duration::from_millis(15);
const BACKOFF: Duration = Duration::from_millis(10);
const REPLAY_BUFFER: usize = 64 * 1024;

// CONTRACT R7, R13, T9
#[test]
fn nothing_is_left_of_calls_that_are_dropped_at_any_point() {
    alone(nothing_is_left());
}

async fn nothing_is_left() {
    let server = Server::in_memory();
    let budget = Arc::new(Counting::default());
    // The retries that the layer started: each but the first attempt bears the header.
    let started = Arc::new(AtomicUsize::new(0));
    let (channel, count) = (server.channel(), Arc::clone(&started));
    let transport = service_fn(move |request: Request<Body>| {
        let is_retry = request.headers().contains_key("grpc-previous-rpc-attempts");
        count.fetch_add(usize::from(is_retry), Ordering::Relaxed);
        channel.clone().oneshot(request)
    });
    let layer = RetryLayer::new(policy(BACKOFF))
        .replay_limit(2 * REPLAY_BUFFER)
        .replay_buffer(REPLAY_BUFFER);
    let stack = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(layer)
        .layer(AttemptTimeoutLayer::new(ATTEMPT).unwrap())
        .service(transport);
    let mut client = EchoClient::new(stack);
    // The largest request that has room in an empty buffer.
    let (mut largest, mut too_large) = (0, REPLAY_BUFFER);
    while too_large - largest > 1 {
        let payload = usize::midpoint(largest, too_large);
        if is_retried(&server, &mut client, payload).await {
            largest = payload;
        } else {
            too_large = payload;
        }
    }
    assert!(largest > REPLAY_BUFFER * 9 / 10, "{largest}");
    sleep(SECOND).await;
    server.clear();
    let metrics = Handle::current().metrics();
    let tasks = metrics.num_alive_tasks();

    let (mut ended, mut cancelled, mut closed, mut in_flight) = (0, 0, 0, 0);
    for round in 0..ROUNDS {
        let mut calls = JoinSet::new();
        server.script().clear();
        for call in 0..CALLS_OF_A_ROUND {
            let mut rng = StdRng::seed_from_u64(round * CALLS_OF_A_ROUND + call);
            server
                .script()
                .next(answer(&mut rng))
                .next(answer(&mut rng));
            calls.spawn(dropped(client.clone(), rng));
        }
        let calls = calls.join_all().await;
        sleep(SECOND).await;

        // A dropped call goes on in hyper, with or without our layers, until its request yields or
        // ends: each that was in flight at that moment, and no other.
        ended += calls.iter().filter(|(ended, _)| *ended).count();
        let senders: Vec<_> = calls.into_iter().filter_map(|(_, sender)| sender).collect();
        let open = senders.iter().filter(|sender| !sender.is_closed()).count();
        assert_eq!(open, running(&server), "round {round}");
        closed += senders.len() - open;
        in_flight += open;
        drop(senders);
        sleep(SECOND).await;

        assert_eq!(running(&server), 0, "round {round}");
        assert_eq!(metrics.num_alive_tasks(), tasks, "round {round}");
        cancelled += server
            .calls()
            .iter()
            .filter(|call| call.cancelled())
            .count();
        server.clear();
        let retries = started.load(Ordering::Relaxed);
        assert_eq!(
            budget.issued(),
            retries + budget.refunded(),
            "round {round}"
        );
    }
    eprintln!(
        "{ended} ended, {cancelled} cancelled at the server, {closed} senders closed at \
         once, {in_flight} in flight; {} permits, {} refunded; {} connections",
        budget.issued(),
        budget.refunded(),
        server.connections(),
    );
    // The chance was a chance.
    assert!(budget.refunded() > 0 && budget.issued() > budget.refunded());
    assert!(ended > 0 && cancelled > 0 && closed > 0);

    // All of the replay buffer is free again, to the byte.
    assert!(is_retried(&server, &mut client, largest).await);
}

/// Whether a client stream of one such message finds room in the replay buffer.
async fn is_retried<T>(server: &Server, client: &mut EchoClient<T>, payload: usize) -> bool
where
    T: GrpcService<Body, Error: Into<BoxError>>,
    T::ResponseBody: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    server.script().clear();
    let fails = Answer::status(Code::Unavailable, "down").reading_request();
    server.script().on(method::CLIENT_STREAM, [fails]);
    let stream = Messages::new(message(payload), 1);
    let request = declared(stream, MethodKind::ClientStreaming);
    let answer = client.client_stream(request).await;
    if let Err(status) = &answer {
        assert_eq!(GiveUp::find(status), Some(GiveUp::ReplayBufferFull));
    }
    answer.is_ok()
}

fn running(server: &Server) -> usize {
    let calls = server.calls();
    let running = calls.iter().filter(|call| call.outcome == Outcome::Running);
    running.count()
}
