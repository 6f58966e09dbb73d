//! Too few healthy endpoints.

use grpc_resilience::channel::pick::{PickFirst, RoundRobin};
use grpc_resilience::channel::{Builder, Channel, Connectivity};

use crate::common::health::*;
use crate::common::log::Ear;
use crate::common::net::Net;
use crate::common::*;

async fn wards<const N: usize>(net: &Net, is_serving: [bool; N]) -> Vec<Ward> {
    let mut wards = Vec::new();
    for (number, is_serving) in is_serving.into_iter().enumerate() {
        wards.push(Ward::new(net, &number.to_string(), is_serving).await);
    }
    wards
}

fn builder_of(net: &Net, hosts: &str) -> Builder {
    Channel::builder(format!("multi:///{hosts}"))
        .connector(net.clone())
        .picker(RoundRobin::new())
        .health_check(SERVICE)
}

async fn used(channel: &Channel) -> Vec<String> {
    let mut names = called_times(channel, 12).await;
    names.sort();
    names.dedup();
    names
}

// CONTRACT L8; SEEDS A4
#[tokio::test(start_paused = true)]
async fn below_the_fraction_connected_endpoints_that_are_not_healthy_are_used_too() {
    let net = Net::default();
    let wards = wards(&net, [true, true, true, true]).await;
    let ear = Ear::new();
    // The fifth has no connection, and does not count.
    let target = "unix:0,unix:1,unix:2,unix:3,unix:4";
    let channel = connected(builder_of(&net, target).panic_below(0.5)).await;
    until_ready(&channel, 4).await;
    wards[0].serves(false).await;
    wards[1].serves(false).await;
    tokio::time::sleep(MS).await;
    assert_eq!(used(&channel).await, ["2", "3"]);
    assert!(!channel.snapshot().is_health_ignored);
    wards[2].serves(false).await;
    tokio::time::sleep(MS).await;
    assert_eq!(used(&channel).await, ["0", "1", "2", "3"]);
    let snapshot = channel.snapshot();
    assert!(snapshot.is_health_ignored && snapshot.state == Connectivity::Ready);
    assert!(
        snapshot
            .to_string()
            .contains("too few endpoints are healthy"),
        "{snapshot}"
    );
    let begun = "healthy=1 connected=4 panic_below=0.5";
    assert!(ear.text().contains(begun), "{}", ear.text());
    wards[3].serves(false).await;
    tokio::time::sleep(MS).await;
    assert_eq!(used(&channel).await, ["0", "1", "2", "3"], "all of them");
    assert_eq!(channel.state(), Connectivity::Ready);
    wards[0].serves(true).await;
    wards[3].serves(true).await;
    tokio::time::sleep(MS).await;
    assert_eq!(used(&channel).await, ["0", "3"]);
    assert!(!channel.snapshot().is_health_ignored);
    assert_eq!(ear.count("panic_below"), 2, "{}", ear.text());
    let over = "healthy=2 connected=4 panic_below=0.5";
    assert!(ear.text().contains(over), "{}", ear.text());
}

// CONTRACT L8
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_connects_or_comes_during_a_panic_is_used_too() {
    let net = Net::default();
    let mut wards = wards(&net, [false, false]).await;
    let (names, builder) = crate::common::names::Names::new(&net, &["0", "1"]);
    let builder = builder.picker(RoundRobin::new()).health_check(SERVICE);
    let channel = connected(builder.panic_below(1.0)).await;
    until_ready_or_not(&channel, 2).await;
    assert_eq!(used(&channel).await, ["0", "1"]);
    wards.push(Ward::new(&net, "2", false).await);
    names.set(&["0", "1", "2"]);
    until_ready_or_not(&channel, 3).await;
    assert_eq!(used(&channel).await, ["0", "1", "2"]);
    // Waiting calls go as soon as there is a connection at all.
    wards.clear();
    until(|| connections(&channel) == 0).await;
    let waits = tokio::spawn({
        let channel = channel.clone();
        async move { send(&channel, patient()).await }
    });
    until(|| channel.snapshot().waiting == 1).await;
    assert!(!channel.snapshot().is_health_ignored);
    wards.push(Ward::new(&net, "1", false).await);
    assert_eq!(endpoint_of(&waits.await.unwrap()), "1");
}

async fn until_ready_or_not(channel: &Channel, count: usize) {
    until(|| connections(channel) == count).await;
    tokio::time::sleep(MS).await;
}

// CONTRACT L8
#[tokio::test(start_paused = true)]
async fn without_the_setting_all_unhealthy_endpoints_get_no_call() {
    let net = Net::default();
    let _wards = wards(&net, [false, false]).await;
    let channel = builder_of(&net, "unix:0,unix:1").build().unwrap();
    until_ready_or_not(&channel, 2).await;
    assert_eq!(channel.state(), Connectivity::TransientFailure);
    assert!(call(&channel).await.is_err());
}

// CONTRACT L8
#[tokio::test(start_paused = true)]
async fn a_fraction_that_can_t_be_is_a_fault() {
    let faults = |builder: Builder| {
        let invalid = builder.build().unwrap_err();
        invalid
            .faults()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let net = Net::default();
    for fraction in [0.0, -0.5, 1.01, f64::NAN, f64::INFINITY] {
        let found = faults(builder_of(&net, "unix:0").panic_below(fraction));
        let expected = format!("panic_below: {fraction}: it must be greater than 0 and at most 1");
        assert_eq!(found, [expected]);
    }
    let found = faults(net.builder().panic_below(0.5));
    assert!(
        found.len() == 1 && found[0].contains("it needs a health_check"),
        "{found:?}"
    );
    let first = builder_of(&net, "unix:0").picker(PickFirst::new());
    let found = faults(first.panic_below(0.5));
    assert!(
        found.len() == 1 && found[0].contains("connects to one address"),
        "{found:?}"
    );
    for fraction in [f64::MIN_POSITIVE, 1.0] {
        builder_of(&net, "unix:0")
            .panic_below(fraction)
            .build()
            .unwrap();
    }
}
