//! The pickers over servers in memory (CONTRACT L3 to L6).

use std::collections::BTreeMap;
use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::pick::{Call, LeastLoaded, Picker, Random, Ready, RoundRobin, Shard};
use grpc_resilience::channel::{Builder, Channel};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::common::manner::Manner;
use crate::common::names::Names;
use crate::common::net::{Host, Net};
use crate::common::*;

const S: Duration = Duration::from_secs(1);

/// Servers of these manners, and a channel that is connected to all of them, long enough for all
/// to have their whole weight.
async fn cluster(manners: &[Manner], picker: impl Picker) -> (Channel, Vec<Host>) {
    cluster_of(manners, |builder| builder.picker(picker)).await
}

async fn cluster_of(
    manners: &[Manner],
    configure: impl FnOnce(Builder) -> Builder,
) -> (Channel, Vec<Host>) {
    let net = Net::default();
    let name = |number| format!("host-{number}");
    let hosts = manners.iter().enumerate();
    let hosts: Vec<_> = hosts
        .map(|(number, manner)| net.serve_as(&name(number), manner))
        .collect();
    let names: Vec<_> = (0..manners.len()).map(name).collect();
    let (these, builder) = Names::new(&net, &names);
    let channel = configure(builder).build().unwrap();
    until_ready(&channel, manners.len()).await;
    tokio::time::sleep(3 * S).await;
    // The last set stays.
    drop(these);
    (channel, hosts)
}

/// Callers that call for this long, whatever the answers are; how many calls they made.
async fn called_for(channel: &Channel, callers: usize, time: Duration) -> usize {
    let end = Instant::now() + time;
    let mut set = JoinSet::new();
    for _ in 0..callers {
        let channel = channel.clone();
        set.spawn(async move {
            let mut calls = 0;
            while Instant::now() < end {
                let _ = call(&channel).await;
                calls += 1;
            }
            calls
        });
    }
    set.join_all().await.into_iter().sum()
}

/// Which part of the calls of this time each server gets.
async fn shares(channel: &Channel, manners: &[Manner], callers: usize, time: Duration) -> Vec<f64> {
    let before: Vec<_> = manners.iter().map(Manner::calls).collect();
    called_for(channel, callers, time).await;
    let calls = manners.iter().zip(before);
    let calls: Vec<_> = calls.map(|(it, before)| it.calls() - before).collect();
    let sum: usize = calls.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let share = |calls: usize| calls as f64 / sum as f64;
    calls.into_iter().map(share).collect()
}

// CONTRACT L3; issue 22, A2: three servers of 5, 5 and 50 ms, 32 workers
#[tokio::test(start_paused = true)]
async fn a_slow_server_gets_few_calls_and_holds_up_few() {
    let manners = [5, 5, 50].map(Manner::taking);
    let (channel, _hosts) = cluster(&manners, LeastLoaded::new()).await;
    let shares = shares(&channel, &manners, 32, S).await;
    assert!(shares[2] <= 0.08, "{shares:?}");
    let least_loaded = called_for(&channel, 32, S).await;
    let (channel, _hosts) = cluster(&manners, Random::new()).await;
    let random = called_for(&channel, 32, S).await;
    assert!(least_loaded >= 2 * random, "{least_loaded} {random}");
    println!(
        "slow share {:.3}, calls/s {least_loaded} and {random}",
        shares[2]
    );
}

// CONTRACT L3; issue 22: one that was slow once
#[tokio::test(start_paused = true)]
async fn a_server_that_was_slow_once_has_its_share_again_within_10_s() {
    for callers in [1, 8] {
        let manners = [5, 5, 500].map(Manner::taking);
        let (channel, _hosts) = cluster(&manners, LeastLoaded::new()).await;
        let slow = shares(&channel, &manners, callers, 3 * S).await;
        assert!(slow[2] < 0.08, "{callers} callers: {slow:?}");
        manners[2].take(5);
        called_for(&channel, callers, 9 * S).await;
        let again = shares(&channel, &manners, callers, S).await;
        assert!(again[2] >= 0.8 / 3.0, "{callers} callers: {again:?}");
        println!("{callers} callers: {:.3}, then {:.3}", slow[2], again[2]);
    }
}

/// Which part of the calls goes to one of five servers that fails one call in two within 1 ms, once
/// a second has passed, by the number of callers.
async fn share_of_one_that_fails_fast(
    callers: usize,
    configure: impl FnOnce(Builder) -> Builder,
) -> f64 {
    let mut manners = [10; 5].map(Manner::taking);
    manners[0] = Manner::taking(1).failing_one_in(2);
    let (channel, _hosts) = cluster_of(&manners, configure).await;
    called_for(&channel, callers, S).await;
    let shares = shares(&channel, &manners, callers, 2 * S).await;
    println!("{callers} callers: {:.4}", shares[0]);
    shares[0]
}

// CONTRACT L3; issue 22: one that fails fast gets at most 5 % of picks after 1 s
#[tokio::test(start_paused = true)]
async fn a_server_that_fails_fast_is_not_taken_for_one_that_is_free() {
    for callers in [1, 16] {
        let share = share_of_one_that_fails_fast(callers, Builder::no_ejection).await;
        assert!(share <= 0.05, "{callers} callers: {share}");
    }
}

// CONTRACT L3, O2; issue 22: the same with ejection, which is on by default
#[tokio::test(start_paused = true)]
async fn a_server_that_fails_fast_gets_few_calls_with_ejection_too() {
    for callers in [1, 16] {
        let share = share_of_one_that_fails_fast(callers, |builder| builder).await;
        assert!(share <= 0.05, "{callers} callers: {share}");
    }
}

// CONTRACT L3
#[tokio::test(start_paused = true)]
async fn a_new_server_is_not_given_all_calls_at_once() {
    let net = Net::default();
    let manners = [10; 3].map(Manner::taking);
    let mut hosts = vec![
        net.serve_as("a", &manners[0]),
        net.serve_as("b", &manners[1]),
    ];
    let (names, builder) = Names::new(&net, &["a", "b"]);
    let channel = builder.build().unwrap();
    until_ready(&channel, 2).await;
    tokio::time::sleep(3 * S).await;
    hosts.push(net.serve_as("c", &manners[2]));
    names.set(&["a", "b", "c"]);
    until_ready(&channel, 3).await;
    let early = shares(&channel, &manners, 8, 200 * MS).await;
    called_for(&channel, 8, 2 * S).await;
    let late = shares(&channel, &manners, 8, 2 * S).await;
    assert!(early[2] < 0.15, "{early:?}");
    assert!(late[2] > 0.28, "{late:?}");
}

// CONTRACT L4
#[tokio::test(start_paused = true)]
async fn round_robin_is_exact() {
    let manners = [(); 5].map(|()| Manner::default());
    let (channel, hosts) = cluster(&manners, RoundRobin::new()).await;
    called_times(&channel, 25).await;
    assert_eq!(manners.each_ref().map(Manner::calls), [5; 5]);
    drop(hosts);
}

// CONTRACT L5
#[tokio::test(start_paused = true)]
async fn calls_of_one_key_go_to_one_server_and_to_the_next_while_that_is_away() {
    let net = Net::default();
    let names = ["a", "b", "c", "d"];
    let mut hosts: BTreeMap<_, _> = names.iter().map(|it| (*it, net.serve(it))).collect();
    let (_names, builder) = Names::new(&net, &names);
    let channel = builder.picker(Shard::new()).build().unwrap();
    until_ready(&channel, 4).await;
    let keyed = |key: u32| {
        let mut request = request();
        request.call_options().shard_key(key.to_be_bytes().to_vec());
        request
    };
    let mut owners = Vec::new();
    for key in 0..40 {
        owners.push(called_with(&channel, keyed(key)).await);
    }
    net.refuse("b");
    hosts.remove("b");
    until_ready(&channel, 3).await;
    for (key, owner) in (0..).zip(&owners) {
        let now = called_with(&channel, keyed(key)).await;
        assert!(if owner == "b" {
            now != "b"
        } else {
            now == *owner
        });
        assert_eq!(now, called_with(&channel, keyed(key)).await);
    }
    hosts.insert("b", net.serve("b"));
    until_ready(&channel, 4).await;
    for (key, owner) in (0..).zip(&owners) {
        assert_eq!(called_with(&channel, keyed(key)).await, *owner);
    }
    let distinct: std::collections::BTreeSet<_> = owners.into_iter().collect();
    assert_eq!(distinct.len(), 4);
}

/// A picker of a user's own: by metadata, and beyond the end without it.
#[derive(Debug)]
struct ByMetadata;

impl Picker for ByMetadata {
    fn pick(&self, ready: &Ready<'_>, call: &Call<'_>) -> usize {
        assert!(!ready.is_empty());
        assert_eq!(call.path(), "/test.v1.Echo/Unary");
        let wanted = call.headers().get("server").map(|it| it.to_str().unwrap());
        let place = ready.iter().position(|it| Some(it.name()) == wanted);
        place.unwrap_or(usize::MAX)
    }
}

#[tokio::test(start_paused = true)]
async fn users_pick_by_rules_of_their_own() {
    let manners = [(); 3].map(|()| Manner::default());
    let (channel, _hosts) = cluster(&manners, ByMetadata).await;
    for name in ["host-1", "host-0", "host-2"] {
        let mut request = request();
        let value = format!("unix:{name}").parse().unwrap();
        request.headers_mut().insert("server", value);
        assert_eq!(called_with(&channel, request).await, name);
    }
    assert_eq!(called(&channel).await, "host-2", "the last one");
}

// CONTRACT L2
#[tokio::test(start_paused = true)]
async fn the_default_picker_is_least_loaded_and_spreads_calls_of_equal_servers() {
    let manners = [5; 4].map(Manner::taking);
    let net = Net::default();
    let names = ["a", "b", "c", "d"];
    let _hosts: Vec<_> = names
        .iter()
        .zip(&manners)
        .map(|(name, manner)| net.serve_as(name, manner))
        .collect();
    let (_names, builder) = Names::new(&net, &names);
    let channel = builder.build().unwrap();
    assert!(format!("{channel:?}").contains("Channel"));
    until_ready(&channel, 4).await;
    let shares = shares(&channel, &manners, 8, 2 * S).await;
    assert!(
        shares.iter().all(|it| (0.2..0.3).contains(it)),
        "{shares:?}"
    );
}
