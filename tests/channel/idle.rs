//! Connections that nobody uses.

use std::time::Duration;

use grpc_resilience::channel::Connectivity;

use crate::common::net::Net;
use crate::common::*;

const S: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_idle_closes_its_connections_and_the_next_call_makes_one() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder().max_idle(60 * S)).await;
    for _ in 0..5 {
        tokio::time::sleep(50 * S).await;
        succeeds(&channel).await;
    }
    assert_eq!((channel.state(), net.dials()), (Connectivity::Ready, 1));
    tokio::time::sleep(76 * S).await;
    assert_eq!((channel.state(), net.open()), (Connectivity::Idle, 0));
    succeeds(&channel).await;
    assert_eq!(net.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_is_no_idleness() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder().max_idle(60 * S)).await;
    let (sender, body) = streaming();
    let answer = send(&channel, bidi(body)).await.unwrap();
    tokio::time::sleep(1_000 * S).await;
    assert_eq!(channel.state(), Connectivity::Ready);
    drop(sender);
    assert_eq!(status(Ok(answer)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_channel_is_idle_from_the_end_of_its_last_call_and_not_from_an_earlier_time() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder().max_idle(60 * S)).await;
    let (sender, body) = streaming();
    let answer = send(&channel, bidi(body)).await.unwrap();
    // It is looked at every 15 s, so that the call ends just before a look.
    tokio::time::sleep(74 * S).await;
    drop(sender);
    assert_eq!(status(Ok(answer)).await, 0);
    tokio::time::sleep(59 * S).await;
    assert_eq!(channel.state(), Connectivity::Ready);
    tokio::time::sleep(18 * S).await;
    assert_eq!(channel.state(), Connectivity::Idle);
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_connections_stay() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder()).await;
    tokio::time::sleep(100_000 * S).await;
    assert_eq!((channel.state(), net.dials()), (Connectivity::Ready, 1));
}

// CONTRACT C8
#[tokio::test(start_paused = true)]
async fn a_second_connection_is_closed_after_10_s_without_a_call() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder()).await;
    let mut streams = Vec::new();
    for number in 0..34 {
        if number == 33 {
            until(|| connections(&channel) == 2).await;
        }
        let (sender, body) = streaming();
        let answer = send(&channel, bidi(body)).await.unwrap();
        streams.push((sender, answer));
    }
    tokio::time::sleep(60 * S).await;
    streams.clear();
    tokio::time::sleep(9 * S).await;
    assert_eq!(connections(&channel), 2);
    tokio::time::sleep(4 * S).await;
    assert_eq!((connections(&channel), net.open()), (1, 1));
    succeeds(&channel).await;
    tokio::time::sleep(60 * S).await;
    assert_eq!((connections(&channel), net.dials()), (1, 2));
}
