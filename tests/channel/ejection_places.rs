//! Ejected endpoints among those that are not healthy, or down (CONTRACT O4, L8).

use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::Connectivity;
use grpc_resilience::channel::pick::RoundRobin;
use http::Request;
use tokio::time::timeout;
use tonic::body::Body;

use crate::common::health::Ward;
use crate::common::manner::Manner;
use crate::common::net::Net;
use crate::common::*;
use crate::ejection::*;

/// Servers that say how they are, the first of which is ejected.
struct Wards {
    channel: grpc_resilience::channel::Channel,
    net: Net,
    all: Vec<Ward>,
}

async fn wards(count: usize, panic_below: f64) -> Wards {
    let net = Net::default();
    let mut wards = Vec::new();
    for number in 0..count {
        wards.push(Ward::new(&net, &name(number), true).await);
        wards[number].manner.take(5);
    }
    let hosts: Vec<_> = (0..count).map(|it| format!("unix:{}", name(it))).collect();
    let builder =
        grpc_resilience::channel::Channel::builder(format!("multi:///{}", hosts.join(",")))
            .connector(net.clone())
            .picker(RoundRobin::new())
            .health_check(crate::common::health::SERVICE)
            .panic_below(panic_below);
    let channel = builder.build().unwrap();
    until_ready(&channel, count).await;
    wards[0].manner.fail(100, UNAVAILABLE);
    called_for(&channel, 1, 300 * MS, declared).await;
    assert_eq!(ejected(&channel), [0]);
    wards[0].manner.fail(0, UNAVAILABLE);
    Wards {
        channel,
        net,
        all: wards,
    }
}

// CONTRACT L8
#[tokio::test(start_paused = true)]
async fn an_ejected_server_that_is_the_last_connected_one_is_used_when_health_is_ignored() {
    let mut them = wards(3, 0.5).await;
    for number in 1..3 {
        them.net.refuse(&name(number));
    }
    them.all.truncate(1);
    them.all[0].serves(false).await;
    until(|| connections(&them.channel) == 1).await;
    until(|| them.channel.snapshot().is_health_ignored).await;
    assert_eq!(them.channel.state(), Connectivity::Ready);
    for _ in 0..3 {
        let called = timeout(Duration::from_millis(100), called(&them.channel)).await;
        assert_eq!(called.expect("it takes calls"), name(0));
    }
}

// CONTRACT L8, O4
#[tokio::test(start_paused = true)]
async fn an_ejected_server_gets_no_call_while_one_that_is_not_healthy_takes_calls() {
    let them = wards(2, 1.0).await;
    them.all[1].serves(false).await;
    until(|| them.channel.snapshot().is_health_ignored).await;
    assert_eq!(ejected(&them.channel), [0]);
    assert_eq!(called_times(&them.channel, 6).await, [&*name(1); 6]);
}

// CONTRACT L8
#[tokio::test(start_paused = true)]
async fn a_call_that_names_a_server_that_is_not_healthy_waits_for_a_stream_when_health_is_ignored()
{
    let net = Net::default();
    let wards = [
        Ward::new(&net, &name(0), false).await,
        Ward::new(&net, &name(1), false).await,
    ];
    wards[0].manner.take(50);
    let target = format!("multi:///unix:{},unix:{}", name(0), name(1));
    let builder = grpc_resilience::channel::Channel::builder(target)
        .connector(net.clone())
        .health_check(crate::common::health::SERVICE)
        .panic_below(1.0)
        .max_connections(1)
        .max_concurrent_streams(1);
    let channel = builder.build().unwrap();
    until(|| channel.snapshot().is_health_ignored).await;
    let named = || -> Request<Body> {
        let mut request = request();
        request.call_options().endpoint(format!("unix:{}", name(0)));
        request
    };
    let (first, second) = tokio::join!(
        called_with(&channel, named()),
        called_with(&channel, named())
    );
    assert_eq!([first, second], [name(0), name(0)]);
}

// CONTRACT O4
#[tokio::test(start_paused = true)]
async fn an_ejected_server_that_is_down_leaves_its_place_to_another() {
    let manners = [5; 4].map(Manner::taking);
    let mut cluster = cluster(&manners, picking(RoundRobin::new())).await;
    let channel = &cluster.channel;
    manners[..2].iter().for_each(|it| it.fail(100, UNAVAILABLE));
    called_for(channel, 4, 200 * MS, declared).await;
    assert_eq!(ejected(channel), [0, 1]);
    (0..2).for_each(|number| cluster.net.refuse(&name(number)));
    cluster.hosts.drain(..2);
    until(|| endpoint(channel, 1).state == Connectivity::TransientFailure).await;
    until(|| endpoint(channel, 0).state == Connectivity::TransientFailure).await;
    manners[2].fail(100, UNAVAILABLE);
    called_for(channel, 4, 200 * MS, declared).await;
    assert!(ejected(channel).contains(&2), "{}", channel.snapshot());
    assert_eq!(called_times(channel, 4).await, [&*name(3); 4]);
}

// CONTRACT O1, O2
#[tokio::test(start_paused = true)]
async fn what_a_server_failed_an_hour_ago_does_not_eject_it() {
    let manners = [5; 2].map(Manner::taking);
    let cluster = cluster(&manners, picking(RoundRobin::new())).await;
    let channel = &cluster.channel;
    let at = |number| {
        let mut request = request();
        request
            .call_options()
            .endpoint(format!("unix:{}", name(number)));
        send(channel, request)
    };
    manners[0].fail(100, UNAVAILABLE);
    for _ in 0..5 {
        assert!(at(0).await.is_ok(), "a head with a status");
    }
    assert_eq!(endpoint(channel, 0).consecutive_failures, 5);
    assert_eq!(ejected(channel), [0; 0], "the other had no call");
    tokio::time::sleep(3_600 * S).await;
    for _ in 0..10 {
        assert_eq!(status(at(1).await).await, 0);
    }
    // The balancer looks.
    cluster.names.set(&[name(1), name(0)]);
    tokio::time::sleep(S).await;
    assert_eq!(ejected(channel), [0; 0]);
    // What it fails now does.
    let _ = at(0).await;
    until(|| ejected(channel) == [0]).await;
}
