//! Nothing outlives a channel and its last call.

use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::Connectivity;
use grpc_resilience::classify::Reason;
use peer::{Connection, Gate, Peer, Step, Stream};
use tokio::runtime::Handle;

use crate::common::net::Net;
use crate::common::*;

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

// A channel's last clone
#[tokio::test]
async fn the_last_clone_closes_the_connections_and_ends_all_tasks() {
    let peer = Peer::start([]).await;
    others_have_run().await;
    let before = tasks();
    let channel = channel(&peer).await;
    succeeds(&channel).await;
    let clone = channel.clone();
    drop(channel);
    succeeds(&clone).await;
    assert_eq!(peer.open_connections(), 1);
    drop(clone);
    peer.wait_for_closed(1).await;
    until(|| tasks() <= before + 1).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_clone_ends_dials_and_backoffs() {
    let net = Net::default();
    let before = tasks();
    let channel = net.builder().build().unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let dials = net.dials();
    assert!(dials > 3);
    drop(channel);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((net.dials(), tasks()), (dials, before));
}

// CONTRACT C3, GO-backoff-cancel
#[tokio::test(start_paused = true)]
async fn a_close_ends_a_backoff_and_the_calls_that_wait_for_it_at_once() {
    let net = Net::default();
    let channel = net.builder().build().unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut patient = request();
    patient.call_options().wait_for_ready();
    let waits = tokio::spawn({
        let channel = channel.clone();
        async move { send(&channel, patient).await }
    });
    until(|| channel.snapshot().waiting == 1).await;
    let (dials, start) = (net.dials(), tokio::time::Instant::now());
    channel.close().await;
    let error = waits.await.unwrap().unwrap_err();
    assert_eq!(error.verdict().reason, Reason::ChannelClosed);
    assert!(start.elapsed().is_zero());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(net.dials(), dials);
}

#[tokio::test]
async fn a_call_under_way_outlives_the_channel_and_nothing_outlives_the_call() {
    let gate = Gate::new();
    let stream = Stream::ok(b"").after(Step::Gate(gate.clone()));
    let peer = Peer::start([Connection::new().other_streams(stream)]).await;
    let channel = channel(&peer).await;
    let call = spawn(&channel);
    peer.wait_for_streams(1).await;
    drop(channel);
    others_have_run().await;
    assert_eq!(peer.open_connections(), 1);
    gate.open();
    assert_eq!(status(call.await.unwrap()).await, 0);
    peer.wait_for_closed(1).await;
}

#[tokio::test]
async fn a_close_fails_new_and_waiting_calls_and_awaits_those_under_way() {
    let gate = Gate::new();
    let script = Connection::new()
        .max_concurrent_streams(1)
        .other_streams(Stream::ok(b"").after(Step::Gate(gate.clone())));
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    let first = spawn(&channel);
    peer.wait_for_streams(1).await;
    let waiting = spawn(&channel);
    until(|| channel.snapshot().waiting == 1).await;
    let closing = tokio::spawn({
        let channel = channel.clone();
        async move { channel.close().await }
    });
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.verdict().reason, Reason::ChannelClosed);
    let error = call(&channel).await.unwrap_err();
    assert_eq!(error.verdict().reason, Reason::ChannelClosed);
    assert_eq!(channel.state(), Connectivity::Shutdown);
    assert!(channel.ready().await.is_err());
    assert!(!closing.is_finished());
    gate.open();
    assert_eq!(status(first.await.unwrap()).await, 0);
    closing.await.unwrap();
    peer.wait_for_closed(1).await;
    assert_eq!(peer.connections(), 1);
}

// CONTRACT W11
#[tokio::test(start_paused = true)]
async fn a_waiting_call_that_is_not_polled_holds_up_no_other() {
    let net = Net::default();
    let channel = net.builder().build().unwrap();
    let patient = || {
        let mut request = request();
        request.call_options().wait_for_ready();
        request
    };
    let mut unpolled = Box::pin(send(&channel, patient()));
    assert!(futures_poll(&mut unpolled).is_pending());
    let waits = tokio::spawn({
        let channel = channel.clone();
        async move { send(&channel, patient()).await }
    });
    until(|| channel.snapshot().waiting == 2).await;
    let _host = net.serve("host");
    assert_eq!(status(waits.await.unwrap()).await, 0);
    assert_eq!(status(unpolled.await).await, 0);
}

fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut cx)
}

// CONTRACT C10: issue "dropping 10,000 calls at random points"
#[tokio::test]
async fn ten_thousand_calls_dropped_at_random_points_leave_nothing() {
    let net = Net::default();
    let server = tonic::transport::Server::builder().max_concurrent_streams(20);
    let _host = net.serve_with("host", server);
    let channel = connected(net.builder().max_connections(2)).await;
    succeeds(&channel).await;
    until(|| in_flight(&channel) == 0).await;
    let before = tasks();
    let mut seed = 7_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize
    };
    let channel = Arc::new(channel);
    for _ in 0..100 {
        let mut calls = Vec::new();
        for _ in 0..100 {
            let streams = random() % 3 == 0;
            let polls = random() % 12;
            let channel = Arc::clone(&channel);
            calls.push(async move {
                let (sender, body) = streaming();
                sender.send(message(b"one")).unwrap();
                let request = if streams { bidi(body) } else { request() };
                let mut call = Box::pin(async move { status(send(&channel, request).await).await });
                for _ in 0..polls {
                    if futures_poll_with_yield(&mut call).await {
                        break;
                    }
                }
                drop((call, sender));
            });
        }
        let mut set = tokio::task::JoinSet::new();
        for call in calls {
            set.spawn(call);
        }
        set.join_all().await;
    }
    until(|| in_flight(&channel) == 0).await;
    assert_eq!(channel.snapshot().waiting, 0);
    succeeds(&channel).await;
    // The connections' own tasks on either side, and the server's for requests that end.
    until(|| tasks() <= before + 2 * (net.dials() - 1) + 1).await;
}

/// Polls once, and lets others run; whether it is over.
async fn futures_poll_with_yield<F: Future + Unpin>(future: &mut F) -> bool {
    let is_over = std::future::poll_fn(|cx| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_ready())
    })
    .await;
    tokio::task::yield_now().await;
    is_over
}
