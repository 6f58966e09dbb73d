//! What calls cost, in counts.

use std::sync::atomic::Ordering;

use grpc_resilience::channel::Channel;
use tokio::runtime::Handle;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::common::net::Net;
use crate::common::tls::{Authority, config_of, serve};
use crate::common::*;

// CONTRACT C9
#[tokio::test]
async fn a_lone_unary_call_is_one_write_and_no_task() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder()).await;
    assert_one_write_and_no_task(&net, &channel).await;
}

// CONTRACT C9
#[tokio::test]
async fn with_tls_too_a_lone_unary_call_is_one_write() {
    let (net, authority) = (Net::default(), Authority::new());
    let incoming = UnboundedReceiverStream::new(net.accept("10.0.0.1:443"));
    let _server = serve(config_of(&authority.sign("10.0.0.1"), None), incoming);
    let builder = Channel::builder("https://10.0.0.1")
        .connector(net.clone())
        .tls_config(authority.trusted());
    let channel = connected(builder).await;
    assert_one_write_and_no_task(&net, &channel).await;
}

async fn assert_one_write_and_no_task(net: &Net, channel: &Channel) {
    succeeds(channel).await;
    others_have_run().await;
    let metrics = Handle::current().metrics();
    let before = net.seen.writes.load(Ordering::Acquire);
    let mut spawned = 0;
    for _ in 0..200 {
        let tasks = metrics.num_alive_tasks();
        let answer = call(channel).await.unwrap();
        // The server spawns tasks of its own, which are over with its answer.
        spawned += metrics.num_alive_tasks().saturating_sub(tasks + 1);
        assert_eq!(status(Ok(answer)).await, 0);
    }
    assert_eq!(net.seen.writes.load(Ordering::Acquire) - before, 200);
    assert_eq!(spawned, 0);
}

// CONTRACT C9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_workers_a_lone_unary_call_is_seldom_two_writes() {
    const CALLS: usize = 1_000;
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder()).await;
    succeeds(&channel).await;
    let before = net.seen.writes.load(Ordering::Acquire);
    for _ in 0..CALLS {
        succeeds(&channel).await;
    }
    let writes = net.seen.writes.load(Ordering::Acquire) - before;
    assert!(writes <= CALLS * 11 / 10, "{writes} writes");
}

// FACTS 1: early flush
#[tokio::test]
async fn a_batch_of_callers_leaves_in_several_writes() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder().max_connections(1)).await;
    succeeds(&channel).await;
    others_have_run().await;
    let before = net.seen.writes.load(Ordering::Acquire);
    let calls: Vec<_> = (0..64).map(|_| spawn(&channel)).collect();
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    let writes = net.seen.writes.load(Ordering::Acquire) - before;
    assert!((2..=20).contains(&writes), "{writes} writes");
    for call in calls {
        assert_eq!(status(call.await.unwrap()).await, 0);
    }
}
