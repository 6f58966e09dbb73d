//! The balancer: endpoints that come, leave and come back (CONTRACT L1, L2, L7, N10).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grpc_resilience::channel::{Builder, Channel, EndpointSnapshot};
use grpc_resilience::classify::{Progress, Reason};
use grpc_resilience::grpc::Code;
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::common::manner::Manner;
use crate::common::names::Names;
use crate::common::net::{Host, Net};
use crate::common::*;

const S: Duration = Duration::from_secs(1);

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn snapshot_of(channel: &Channel, name: &str) -> Option<EndpointSnapshot> {
    let endpoints = channel.snapshot().endpoints;
    endpoints
        .into_iter()
        .find(|it| it.name == format!("unix:{name}"))
}

async fn all_ready(builder: Builder, count: usize) -> Channel {
    let channel = builder.build().unwrap();
    until_ready(&channel, count).await;
    channel
}

// Issue 22: warm from creation
#[tokio::test(start_paused = true)]
async fn all_endpoints_are_connected_before_any_call_and_stay_so() {
    let net = Net::default();
    let _hosts = ["a", "b", "c"].map(|name| net.serve(name));
    let (_names, builder) = Names::new(&net, &["a", "b", "c"]);
    let channel = all_ready(builder, 3).await;
    tokio::time::sleep(3_600 * S).await;
    assert_eq!((net.dials(), net.open()), (3, 3));
    succeeds(&channel).await;
    assert_eq!(net.dials(), 3);
}

// CONTRACT L1
#[tokio::test(start_paused = true)]
async fn only_ready_endpoints_are_picked() {
    let net = Net::default();
    let [a, _b] = ["a", "b"].map(|name| net.serve(name));
    let (_names, builder) = Names::new(&net, &["a", "b", "refuses", "freezes"]);
    let _freezes = net.accept("freezes");
    let channel = all_ready(builder, 2).await;
    for name in called_times(&channel, 50).await {
        assert!(name == "a" || name == "b", "{name}");
    }
    net.refuse("a");
    drop(a);
    others_have_run().await;
    for name in called_times(&channel, 50).await {
        assert_eq!(name, "b");
    }
}

// CONTRACT N10
#[tokio::test(start_paused = true)]
async fn a_removed_endpoint_gets_no_new_call_and_its_calls_go_on() {
    let net = Net::default();
    let slow = Manner::taking(100_000);
    let _hosts = [net.serve_as("a", &slow), net.serve("b")];
    let (names, builder) = Names::new(&net, &["a"]);
    let channel = all_ready(builder, 1).await;
    let runs = spawn(&channel);
    until(|| slow.calls() == 1).await;
    names.set(&["b"]);
    others_have_run().await;
    let removed = snapshot_of(&channel, "a").unwrap();
    assert!(removed.is_removed && removed.in_flight == 1);
    until_ready(&channel, 1).await;
    for name in called_times(&channel, 50).await {
        assert_eq!(name, "b");
    }
    assert_eq!(net.open(), 2);
    assert_eq!(status(runs.await.unwrap()).await, 0);
    until(|| net.open() == 1).await;
    until(|| snapshot_of(&channel, "a").is_none()).await;
    assert_eq!((slow.calls(), net.dials()), (1, 2));
}

// CONTRACT N10
#[tokio::test(start_paused = true)]
async fn a_drain_timeout_ends_the_calls_of_a_removed_endpoint() {
    let net = Net::default();
    let slow = Manner::taking(100_000);
    let _hosts = [net.serve_as("a", &slow), net.serve("b")];
    let (names, builder) = Names::new(&net, &["a"]);
    let channel = all_ready(builder.drain_timeout(30 * S), 1).await;
    let runs = spawn(&channel);
    until(|| slow.calls() == 1).await;
    names.set(&["b"]);
    let start = Instant::now();
    let error = runs.await.unwrap().unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(error.verdict().code, Code::Unavailable);
    assert_eq!(error.verdict().reason, Reason::ConnectionLost);
    assert_eq!(error.progress(), Progress::Reached);
    assert!(error.message().contains("drain timeout"), "{error:?}");
    until(|| net.open() == 1 && snapshot_of(&channel, "a").is_none()).await;
    succeeds(&channel).await;
}

// CONTRACT N10
#[tokio::test(start_paused = true)]
async fn an_address_that_is_back_while_it_drains_keeps_its_calls_and_its_load() {
    let net = Net::default();
    let manner = Manner::taking(100_000);
    let _host = net.serve_as("a", &manner);
    let (names, builder) = Names::new(&net, &["a"]);
    let channel = all_ready(builder.drain_timeout(30 * S), 1).await;
    let runs = spawn(&channel);
    until(|| manner.calls() == 1).await;
    manner.take(10);
    names.set(&["b"]);
    tokio::time::sleep(10 * S).await;
    assert!(snapshot_of(&channel, "a").unwrap().is_removed);
    names.set(&["a", "b"]);
    until_ready(&channel, 1).await;
    // The first call is still counted, on a connection that takes no other.
    let back = snapshot_of(&channel, "a").unwrap();
    assert_eq!((back.in_flight, back.is_removed), (1, false));
    assert_eq!((back.connections.len(), back.draining.len()), (1, 1));
    succeeds(&channel).await;
    assert_eq!(status(runs.await.unwrap()).await, 0, "it was not cut");
    until(|| snapshot_of(&channel, "a").unwrap().draining.is_empty()).await;
}

// CONTRACT C3, N10
#[tokio::test(start_paused = true)]
async fn an_idle_address_that_comes_and_goes_is_not_dialled_in_a_row() {
    let net = Net::default();
    let _hosts = [net.serve("a"), net.serve("b")];
    let (names, builder) = Names::new(&net, &["a", "b"]);
    let channel = all_ready(builder, 2).await;
    for turn in 0..1_000 {
        names.set(if turn % 2 == 0 {
            &["a"][..]
        } else {
            &["a", "b"][..]
        });
        tokio::time::sleep(MS).await;
    }
    until_ready(&channel, 2).await;
    assert!(net.dials() <= 2 + 10, "{} dials in a second", net.dials());
}

// CONTRACT L2
#[tokio::test(start_paused = true)]
async fn a_call_that_is_to_avoid_an_endpoint_goes_there_only_if_no_other_is_ready() {
    use grpc_resilience::call::CallOptionsExt as _;
    let net = Net::default();
    let [_a, b] = ["a", "b"].map(|name| net.serve(name));
    let (_names, builder) = Names::new(&net, &["a", "b"]);
    let channel = all_ready(builder, 2).await;
    let avoiding = |endpoints: &[&str]| {
        let mut request = request();
        for endpoint in endpoints {
            request.call_options().avoid(format!("unix:{endpoint}"));
        }
        request
    };
    for _ in 0..30 {
        assert_eq!(called_with(&channel, avoiding(&["a"])).await, "b");
        assert_eq!(called_with(&channel, avoiding(&["b", "c"])).await, "a");
        called_with(&channel, avoiding(&["a", "b"])).await;
    }
    net.refuse("b");
    drop(b);
    until_ready(&channel, 1).await;
    assert_eq!(called_with(&channel, avoiding(&["a"])).await, "a");
}

/// Callers that call on until they are told to stop; how many calls they made.
fn load(channel: &Channel, callers: usize) -> (Arc<AtomicBool>, JoinSet<usize>) {
    let stop = Arc::<AtomicBool>::default();
    let mut set = JoinSet::new();
    for _ in 0..callers {
        let (channel, stop) = (channel.clone(), Arc::clone(&stop));
        set.spawn(async move {
            let mut calls = 0;
            while !stop.load(Ordering::Relaxed) {
                succeeds(&channel).await;
                calls += 1;
            }
            calls
        });
    }
    (stop, set)
}

async fn stopped((stop, set): (Arc<AtomicBool>, JoinSet<usize>)) -> usize {
    stop.store(true, Ordering::Relaxed);
    set.join_all().await.into_iter().sum()
}

// CONTRACT L7; issue 22: 10,000 updates of the address set under load
#[tokio::test(start_paused = true)]
async fn ten_thousand_updates_of_the_addresses_lose_no_call_and_leave_nothing() {
    let net = Net::default();
    let hosts: Vec<(String, Host)> = (0..4)
        .map(|number| {
            let name = format!("host-{number}");
            let host = net.serve_as(&name, &Manner::taking(1));
            (name, host)
        })
        .collect();
    let all: Vec<&str> = hosts.iter().map(|(name, _)| &**name).collect();
    let (names, builder) = Names::new(&net, &all);
    let channel = all_ready(builder, 4).await;
    let before = tasks();
    let load = load(&channel, 8);
    let mut seed = 7_u64;
    for update in 0..10_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mask = (seed >> 40) % 15 + 1;
        let chosen = all.iter().enumerate();
        let chosen = chosen.filter(|(place, _)| mask >> place & 1 == 1);
        names.set(&chosen.map(|(_, name)| *name).collect::<Vec<_>>());
        if update % 2 == 0 {
            tokio::time::sleep(MS).await;
        }
    }
    names.set(&all);
    until_ready(&channel, 4).await;
    let calls = stopped(load).await;
    assert!(calls > 300, "{calls}");
    until(|| in_flight(&channel) == 0 && channel.snapshot().endpoints.len() == 4).await;
    until(|| net.open() == 4).await;
    // The tasks of connections, on either side, as before.
    until(|| tasks() <= before).await;
    println!("{calls} calls, {} dials", net.dials());
}

// Issue 22: one of three addresses is swapped every 500 ms under 16 workers
#[tokio::test(start_paused = true)]
async fn an_address_that_is_swapped_every_500_ms_fails_no_call() {
    let net = Net::default();
    let manner = Manner::taking(20);
    let mut hosts: Vec<Host> = ["a", "b", "swapped-0"]
        .iter()
        .map(|name| net.serve_as(name, &manner))
        .collect();
    let (names, builder) = Names::new(&net, &["a", "b", "swapped-0"]);
    let channel = all_ready(builder, 3).await;
    let load = load(&channel, 16);
    for number in 1..=40 {
        let name = format!("swapped-{number}");
        hosts.push(net.serve_as(&name, &manner));
        names.set(&["a", "b", &name]);
        tokio::time::sleep(500 * MS).await;
        // The server of the address that was removed stops once its calls have ended.
        hosts.remove(2);
    }
    let calls = stopped(load).await;
    assert!(calls > 10_000, "{calls}");
    assert_eq!(net.dials(), 43);
}

// CONTRACT N2; issue 22: the resolver is down
#[tokio::test(start_paused = true)]
async fn a_resolver_that_is_down_fails_no_call() {
    let net = Net::default();
    let manner = Manner::taking(20);
    let _hosts = ["a", "b"].map(|name| net.serve_as(name, &manner));
    let (names, builder) = Names::new(&net, &["a", "b"]);
    let channel = all_ready(builder, 2).await;
    let load = load(&channel, 16);
    for second in 0..50 {
        match second % 2 {
            0 => names.fail("no answer"),
            _ => names.no_address("NXDOMAIN"),
        }
        tokio::time::sleep(100 * MS).await;
    }
    assert!(stopped(load).await > 1_000);
}

// Issue 22: kill one of three
#[tokio::test(start_paused = true)]
async fn a_killed_endpoint_is_left_at_once_and_used_again_when_it_is_back() {
    let net = Net::default();
    let manners = [(); 3].map(|()| Manner::taking(5));
    let names = ["a", "b", "c"];
    let mut hosts: Vec<Host> = (0..3)
        .map(|it| net.serve_as(names[it], &manners[it]))
        .collect();
    let (_names, builder) = Names::new(&net, &names);
    let channel = all_ready(builder, 3).await;
    for victim in [2, 0, 1] {
        net.refuse(names[victim]);
        let dead = std::mem::replace(&mut hosts[victim], net.serve("nobody"));
        drop(dead);
        // The client reads the end of the connection.
        others_have_run().await;
        let before = manners[victim].calls();
        called_times(&channel, 100).await;
        assert_eq!(manners[victim].calls(), before);
        tokio::time::sleep(3 * S).await;
        hosts[victim] = net.serve_as(names[victim], &manners[victim]);
        let start = Instant::now();
        until_ready(&channel, 3).await;
        assert!(start.elapsed() <= S, "{:?}", start.elapsed());
        called_times(&channel, 100).await;
        assert!(manners[victim].calls() > before);
    }
}

// CONTRACT C11, L1
#[tokio::test(start_paused = true)]
async fn a_frozen_endpoint_gets_no_call_once_its_connection_is_closed() {
    let net = Net::default();
    let [a, _b] = ["a", "b"].map(|name| net.serve(name));
    let (_names, builder) = Names::new(&net, &["a", "b"]);
    let builder = builder.http2_keep_alive_interval(10 * S);
    let channel = all_ready(builder.keep_alive_timeout(5 * S), 2).await;
    a.freeze();
    // Calls that hang there weigh, so few go there.
    let mut hanging = Vec::new();
    for _ in 0..20 {
        hanging.push(spawn(&channel));
        others_have_run().await;
    }
    until(|| ready(&channel) == ["b"]).await;
    let mut failed = 0;
    for call in hanging {
        failed += usize::from(call.await.unwrap().is_err());
    }
    assert!((1..=10).contains(&failed), "{failed}");
    for name in called_times(&channel, 100).await {
        assert_eq!(name, "b");
    }
}

// Issue 22: 1,000 channels made and dropped
#[tokio::test(start_paused = true)]
async fn a_thousand_channels_leave_nothing() {
    let net = Net::default();
    let _hosts = [net.serve("a"), net.serve("b")];
    let before = tasks();
    let mut resolvers = Vec::new();
    for turn in 0..1_000 {
        let (names, builder) = Names::new(&net, &["a", "b", "refuses"]);
        let channel = builder.build().unwrap();
        if turn % 2 == 0 {
            succeeds(&channel).await;
        }
        resolvers.push(names);
    }
    until(|| net.open() == 0 && tasks() == before).await;
    assert!(resolvers.iter().all(Names::is_over));
}

// Issue 22: the snapshot
#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_all_that_is_known_as_a_table() {
    let net = Net::default();
    let slow = Manner::taking(10);
    let (stop, goes) = net.serve_until("goes");
    let _host = net.serve_as("a", &slow);
    let (names, builder) = Names::new(&net, &["a", "goes", "refuses"]);
    let channel = all_ready(builder, 2).await;
    called_times(&channel, 20).await;
    net.refuse("goes");
    stop.send(()).unwrap();
    until_ready(&channel, 1).await;
    drop(goes);
    let answer = call(&channel).await.unwrap();
    tokio::time::sleep(5 * S).await;
    let a = snapshot_of(&channel, "a").unwrap();
    assert!(a.since >= 5 * S && a.share > 0.0 && a.share <= 1.0);
    assert!((9..=11).contains(&a.latency.unwrap().as_millis()), "{a:?}");
    assert!(a.connections[0].streams > 1 && a.in_flight == 1);
    let goes = snapshot_of(&channel, "goes").unwrap();
    assert_eq!(goes.go_aways, 1);
    assert!(goes.error.is_some() && goes.next_dial.is_some());
    let shares = channel
        .snapshot()
        .endpoints
        .iter()
        .map(|it| it.share)
        .sum::<f64>();
    assert!((shares - 1.0).abs() < 0.001, "{shares}");
    names.set(&["goes", "refuses"]);
    until(|| snapshot_of(&channel, "a").is_some_and(|it| it.is_removed)).await;
    let table = channel.snapshot().to_string();
    println!("{table}");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("unix:names: "), "{table}");
    let column = |line: usize, name: &str| {
        let start = lines[1].find(name).unwrap();
        lines[line][start..].split_whitespace().next().unwrap()
    };
    assert_eq!(lines.len(), 5, "{table}");
    assert_eq!(column(2, "endpoint"), "unix:goes");
    assert_eq!(column(2, "state"), "TRANSIENT_FAILURE");
    assert_eq!(column(2, "GOAWAYs"), "1");
    assert!(lines[2].contains("refused"), "{table}");
    assert_eq!(
        (column(4, "state"), column(4, "in flight")),
        ("removed", "1")
    );
    assert!(answer.into_body().collect().await.is_ok());
}

// CONTRACT C8, L1
#[tokio::test(start_paused = true)]
async fn an_endpoint_without_a_free_stream_is_passed_over() {
    let net = Net::default();
    let one = || tonic::transport::Server::builder().max_concurrent_streams(1);
    let _hosts = ["a", "b", "c"].map(|name| net.serve_with(name, one()));
    let (_names, builder) = Names::new(&net, &["a", "b", "c"]);
    let channel = all_ready(builder.max_connections(1), 3).await;
    let mut open = Vec::new();
    let mut used = Vec::new();
    for _ in 0..3 {
        let (sender, body) = streaming();
        let answer = send(&channel, bidi(body)).await;
        used.push(endpoint_of(&answer));
        open.push((sender, answer));
    }
    used.sort();
    assert_eq!(used, ["a", "b", "c"]);
    let waits = spawn(&channel);
    until(|| channel.snapshot().waiting == 1).await;
    open.pop();
    assert_eq!(status(waits.await.unwrap()).await, 0);
}
