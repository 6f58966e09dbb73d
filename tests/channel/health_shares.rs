//! Who has a watch, and pickers over the gate.

use grpc_resilience::channel::pick::PickFirst;
use grpc_resilience::channel::{Channel, Connectivity};
use peer::{Connection, Peer, Step};

use crate::common::health::*;
use crate::common::net::Net;
use crate::common::*;

// CONTRACT G1, CORE-hc-per-channel
#[tokio::test]
async fn clones_share_the_watches_and_two_channels_do_not() {
    let other = || Connection::new().streams([says(2).then(Step::Stall)]);
    let peer = Peer::start([watched(says(1)), other()]).await;
    let channel = connected(builder(&peer).health_check(SERVICE)).await;
    let clones: Vec<_> = (0..5).map(|_| channel.clone()).collect();
    for clone in &clones {
        succeeds(clone).await;
    }
    assert_eq!((watches(&peer).len(), peer.connections()), (1, 1));
    // It asks for another service, and is not healthy.
    let ill = builder(&peer).health_check("another").build().unwrap();
    until(|| ill.state() == Connectivity::TransientFailure).await;
    assert!(call(&ill).await.is_err());
    succeeds(&channel).await;
    assert_eq!((watches(&peer).len(), peer.connections()), (2, 2));
}

// CONTRACT G1
#[tokio::test]
async fn the_empty_name_asks_for_the_whole_server() {
    let peer = Peer::start([watched(says(2))]).await;
    let channel = builder(&peer).health_check("").build().unwrap();
    until(|| channel.state() == Connectivity::TransientFailure).await;
    assert_eq!(watches(&peer)[0].body, message(b""));
    let error = call(&channel).await.unwrap_err();
    assert!(
        error
            .message()
            .contains("says NOT_SERVING for the whole server"),
        "{error:?}"
    );
}

fn first_of(net: &Net) -> Channel {
    Channel::builder("multi:///unix:0,unix:1,unix:2")
        .connector(net.clone())
        .picker(PickFirst::new())
        .health_check(SERVICE)
        .build()
        .unwrap()
}

// CONTRACT G1, L6, GO-hc-disabled
#[tokio::test(start_paused = true)]
async fn the_first_address_that_is_serving_is_used() {
    let net = Net::default();
    let wards = [
        Ward::new(&net, "0", false).await,
        Ward::new(&net, "1", true).await,
        Ward::new(&net, "2", true).await,
    ];
    let channel = first_of(&net);
    channel.connected(LONG).await.unwrap();
    assert_eq!(called(&channel).await, "1");
    until(|| net.open() == 1).await;
    // The one that was used falls ill, and the next is looked for.
    wards[1].serves(false).await;
    until(|| ready(&channel) == ["2"]).await;
    assert_eq!(called(&channel).await, "2");
    assert_eq!(net.open(), 1);
    wards[2].serves(false).await;
    until(|| channel.state() == Connectivity::TransientFailure).await;
    tokio::time::sleep(2_000 * MS).await;
    let error = call(&channel).await.unwrap_err();
    assert!(error.message().contains("says NOT_SERVING"), "{error:?}");
    // All are connected and watched: the first that serves gets the calls, without a dial.
    until(|| net.open() == 3).await;
    let dials = net.dials();
    tokio::time::sleep(60_000 * MS).await;
    assert_eq!(net.dials(), dials);
    wards[0].serves(true).await;
    channel.connected(MS).await.unwrap();
    assert_eq!(called(&channel).await, "0");
    assert_eq!(net.dials(), dials);
}

// CONTRACT G1, L6
#[tokio::test(start_paused = true)]
async fn an_address_that_can_t_be_reached_is_tried_again_beside_one_that_is_not_serving() {
    let net = Net::default();
    let _ill = Ward::new(&net, "0", false).await;
    let channel = first_of(&net);
    until(|| channel.state() == Connectivity::TransientFailure).await;
    tokio::time::sleep(5_000 * MS).await;
    assert_eq!(
        (channel.state(), net.open()),
        (Connectivity::TransientFailure, 1)
    );
    let _well = Ward::new(&net, "2", true).await;
    channel.connected(11_000 * MS).await.unwrap();
    assert_eq!(called(&channel).await, "2");
}
