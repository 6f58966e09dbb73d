//! What calls that wait between two attempts keep of the channel's replay buffer, and for how long.

use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::stack::Resilient;
use grpc_resilience::{GiveUp, Resilience};
use test_protos::{EchoClient, EchoRequest};
use testing::{Answer, Server, method};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::{Request, Status};
use transports::Channel;

use crate::support::{SECOND, ms, policy, unavailable, waits};

type Client = EchoClient<Resilient<Channel>>;

/// Five calls' worth.
const BUFFER: usize = 1_000;
const CALL: usize = 190;

fn client(server: &Server) -> Client {
    let layer = RetryLayer::new(policy()).replay_buffer(BUFFER);
    let stack = Resilience::new().retry_layer(layer);
    EchoClient::new(stack.wrap(server.channel()))
}

fn request(timeout: Option<Duration>) -> Request<EchoRequest> {
    let mut request = Request::new(EchoRequest {
        payload: vec![0; CALL].into(),
        ..EchoRequest::default()
    });
    let options = request.call_options();
    options.idempotent();
    if let Some(timeout) = timeout {
        options.timeout(timeout);
    }
    request
}

async fn call(mut client: Client, timeout: Option<Duration>) -> Result<(), Status> {
    client.unary(request(timeout)).await.map(drop)
}

fn pushed(wait: Duration) -> Answer {
    unavailable("later").pushback(wait.as_millis().to_string())
}

/// So many calls that the server sends away for so long; why those gave up that do not wait, a
/// tenth of a second later.
async fn send_away(
    server: &Server,
    client: &Client,
    count: usize,
    wait: Duration,
) -> (JoinSet<Result<(), Status>>, Vec<Option<GiveUp>>) {
    server.script().always(method::UNARY, pushed(wait));
    let mut calls = JoinSet::new();
    for _ in 0..count {
        calls.spawn(call(client.clone(), Some(3_600 * SECOND)));
    }
    sleep(ms(100)).await;
    server.script().clear();
    let mut ended = Vec::new();
    while let Some(result) = calls.try_join_next() {
        ended.push(GiveUp::find(&result.unwrap().unwrap_err()));
    }
    (calls, ended)
}

/// A call that fails once and waits for 10 ms.
async fn retried(server: &Server, client: &Client) -> Result<(), Option<GiveUp>> {
    let once = unavailable("once");
    server.script().on(method::UNARY, [once]);
    let call = call(client.clone(), Some(SECOND)).await;
    call.map_err(|status| GiveUp::find(&status))
}

const FULL: Option<GiveUp> = Some(GiveUp::ReplayBufferFull);

// CONTRACT R8a, P10
#[transports::test(start_paused = true)]
async fn calls_without_a_deadline_that_are_sent_away_for_days_end_at_once() {
    let server = Server::in_memory();
    let client = client(&server);
    let days = Duration::from_millis(2_147_483_647);
    server.script().always(method::UNARY, pushed(days));
    let start = Instant::now();
    for _ in 0..20 {
        let status = call(client.clone(), None).await.unwrap_err();
        assert_eq!(GiveUp::find(&status), Some(GiveUp::HintTooLong));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    server.script().clear();
    retried(&server, &client).await.unwrap();
}

// CONTRACT P10
#[transports::test(start_paused = true)]
async fn with_a_deadline_a_hint_is_as_long_as_that_allows() {
    let server = Server::in_memory();
    let client = client(&server);
    let hour = 3_600 * SECOND;
    server.script().on(method::UNARY, [pushed(hour)]);
    call(client.clone(), Some(2 * hour)).await.unwrap();
    assert_eq!(waits(&server.calls()), [3_600_000]);
    server.script().on(method::UNARY, [pushed(2 * hour)]);
    let start = Instant::now();
    let status = call(client, Some(2 * hour)).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::HintPastDeadline));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

// CONTRACT R8a
#[transports::test(start_paused = true)]
async fn calls_that_wait_for_long_hold_half_of_the_replay_buffer_and_others_are_retried() {
    let server = Server::in_memory();
    let client = client(&server);
    let (waiting, ended) = send_away(&server, &client, 4, 60 * SECOND).await;
    assert_eq!((waiting.len(), ended), (2, vec![FULL; 2]));
    retried(&server, &client).await.unwrap();
    // More of them end at once, and hold nothing.
    let (others, ended) = send_away(&server, &client, 3, 60 * SECOND).await;
    assert_eq!((others.len(), ended), (0, vec![FULL; 3]));
    retried(&server, &client).await.unwrap();
    for result in waiting.join_all().await {
        result.unwrap();
    }
    // Once they have gone there is room again.
    let (waiting, ended) = send_away(&server, &client, 2, 60 * SECOND).await;
    assert_eq!((waiting.len(), ended), (2, vec![]));
}

// CONTRACT R8a
#[transports::test(start_paused = true)]
async fn calls_that_wait_hold_three_quarters_of_the_replay_buffer() {
    let server = Server::in_memory();
    let client = client(&server);
    let (waiting, ended) = send_away(&server, &client, 5, SECOND).await;
    assert_eq!((waiting.len(), ended), (3, vec![FULL; 2]));
    assert_eq!(retried(&server, &client).await, Err(FULL));
    // One that goes again at once does not wait.
    server.script().on(method::UNARY, [pushed(Duration::ZERO)]);
    call(client.clone(), Some(SECOND)).await.unwrap();
    for result in waiting.join_all().await {
        result.unwrap();
    }
    retried(&server, &client).await.unwrap();
}

// CONTRACT R8a, R13
#[transports::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_leaves_its_room() {
    let server = Server::in_memory();
    let client = client(&server);
    for _ in 0..3 {
        let (waiting, ended) = send_away(&server, &client, 2, 60 * SECOND).await;
        assert_eq!((waiting.len(), ended), (2, vec![]));
        drop(waiting);
        sleep(ms(100)).await;
    }
}

// CONTRACT R8a, R17
#[transports::test(start_paused = true)]
async fn a_call_without_room_to_wait_shows_what_the_server_said() {
    let server = Server::in_memory();
    let client = client(&server);
    let (_waiting, _) = send_away(&server, &client, 2, 60 * SECOND).await;
    server.script().on(method::UNARY, [pushed(2 * SECOND)]);
    let status = call(client, Some(60 * SECOND)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(status.message(), "later");
    assert_eq!(GiveUp::find(&status), FULL);
}
