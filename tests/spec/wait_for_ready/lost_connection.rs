//! Servers that hang up on a call: who else hears of it, and what.

use grpc_resilience::GiveUp;
use grpc_resilience::Resilience;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::wait_for_ready::{ConnectivityState, WaitForReadyLayer};
use peer::{Connection, Peer, Step, Stream};
use testing::{Answer, Server, method};
use tokio::time::{Instant, sleep};
use tonic::Code;
use transports::Channel;

use crate::support::{SECOND, client, declared_hello, every, hello, ms, policy};

fn hangs_up() -> Stream {
    Stream::from([Step::AwaitRequest, Step::Abort])
}

fn channel(peer: &Peer) -> Channel {
    Channel::to(peer.uri())
}

// CONTRACT R19, W9
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test]
async fn calls_that_wait_for_a_channel_that_hangs_up_hear_why() {
    let peer = Peer::always(Connection::new().other_streams(hangs_up())).await;
    let stack = Resilience::new()
        .retry(policy())
        .wait_for_ready(WaitForReadyLayer::new().backoff(every(60 * SECOND)))
        .wrap(channel(&peer));
    // The first in a row is replaced at once, the second is not.
    for _ in 0..2 {
        let status = client(stack.clone()).unary(hello()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
    }
    let now = stack.readiness().snapshot();
    assert_eq!(now.state, ConnectivityState::TransientFailure);
    assert!(now.to_string().contains("; last error: "), "{now}");
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let mut client = client(stack.clone());
            let mut request = hello();
            request.call_options().timeout(ms(200));
            tokio::spawn(async move { client.unary(request).await.unwrap_err() })
        })
        .collect();
    for call in calls {
        let status = call.await.unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        let message = status.message();
        assert!(message.contains("last failure: UNAVAILABLE"), "{message}");
        assert!(message.contains("connection"), "{message}");
    }
    let mut fast = hello();
    fast.call_options().fail_fast().never_retry();
    let status = client(stack).unary(fast).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotReady));
    assert!(status.message().contains("connection"), "{status}");
    assert_eq!(peer.connections(), 2);
}

// CONTRACT W9: one caller's request makes the server hang up, each time
// Over tonic alone: after two connections that served no call ours waits before each (C3).
#[tokio::test(start_paused = true)]
async fn a_poisonous_request_does_not_hold_up_others() {
    let server = Server::in_memory();
    server
        .script()
        .always(method::UNARY_IDEMPOTENT, Answer::drop_connection());
    let often = policy().max_attempts(100).unwrap();
    let stack = Resilience::new()
        .retry(often)
        .unlimited_budget()
        .wrap(server.channel());
    let poison = tokio::spawn({
        let mut client = client(stack.clone());
        async move {
            for _ in 0..100 {
                client.unary_idempotent(hello()).await.unwrap_err();
                sleep(ms(5)).await;
            }
        }
    });
    let mut worst = ms(0);
    for _ in 0..20 {
        let start = Instant::now();
        client(stack.clone()).unary(declared_hello()).await.unwrap();
        worst = worst.max(start.elapsed());
        sleep(ms(20)).await;
    }
    poison.abort();
    println!("the worst of 20 calls beside a poisonous one took {worst:?}");
    assert!(worst < SECOND, "{worst:?}");
}

// CONTRACT W9
#[transports::test]
async fn a_server_that_dies_under_its_first_call_and_is_back_is_found_at_once() {
    let server = Server::tcp().await;
    server
        .script()
        .on(method::UNARY_IDEMPOTENT, [Answer::drop_connection()]);
    let stack = Resilience::new()
        .retry(policy())
        .idempotent(method::UNARY_IDEMPOTENT)
        .unwrap()
        .wait_for_ready(WaitForReadyLayer::new().backoff(every(60 * SECOND)))
        .wrap(server.channel());
    let start = Instant::now();
    client(stack).unary_idempotent(hello()).await.unwrap();
    assert!(start.elapsed() < 20 * SECOND, "{:?}", start.elapsed());
}
