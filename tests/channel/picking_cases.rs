//! The cases of gRPC's own tests of picking, by their ids.
//!
//! CORE-pf-idle does not apply: a connection that is lost is made anew at once (CONTRACT C3, W9),
//! where gRPC's `pick_first` waits for a call. What holds instead is tested here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::pick::{PickFirst, RoundRobin};
use grpc_resilience::channel::resolve::{Resolution, ResolveError, Resolver};
use grpc_resilience::channel::{Address, Channel, Connectivity};
use tokio::time::Instant;
use tower::Service;

use crate::common::names::Names;
use crate::common::net::{End, Net};
use crate::common::*;

const S: Duration = Duration::from_secs(1);

fn first(net: &Net, names: &[&str]) -> (Names, Channel) {
    let (names, builder) = Names::new(net, names);
    (names, builder.picker(PickFirst::new()).build().unwrap())
}

async fn error(channel: &Channel) -> String {
    call(channel).await.unwrap_err().message().to_owned()
}

// GO-pf-first, GO-pf-one-down, GO-pf-all-down; CONTRACT L6
#[tokio::test(start_paused = true)]
async fn all_calls_go_to_the_first_server_that_is_up() {
    let net = Net::default();
    let a = net.serve("a");
    let b = net.serve("b");
    let (_names, channel) = first(&net, &["a", "b"]);
    assert_eq!(called_times(&channel, 20).await, ["a"; 20]);
    assert_eq!((net.dials(), net.open()), (1, 1));
    net.refuse("a");
    drop(a);
    others_have_run().await;
    assert_eq!(called_times(&channel, 20).await, ["b"; 20]);
    net.refuse("b");
    drop(b);
    until(|| channel.state() == Connectivity::TransientFailure).await;
    assert!(error(&channel).await.contains("refused"));
}

// GO-pf-removed, CORE-pf-updates; CONTRACT L6, N2
#[tokio::test(start_paused = true)]
async fn a_picked_address_that_is_removed_gives_way_to_one_that_is_left() {
    let net = Net::default();
    let _hosts = ["a", "b", "c"].map(|name| net.serve(name));
    let (names, channel) = first(&net, &["a", "b"]);
    assert_eq!(called(&channel).await, "a");
    names.set(&["b"]);
    until(|| ready(&channel) == ["b"]).await;
    assert_eq!(called_times(&channel, 5).await, ["b"; 5]);
    // An empty list counts after 60 s (N2).
    names.set::<&str>(&[]);
    tokio::time::sleep(61 * S).await;
    assert!(error(&channel).await.contains("has no address"));
    names.set(&["c"]);
    until(|| ready(&channel) == ["c"]).await;
    assert_eq!(called(&channel).await, "c");
    until(|| net.open() == 1).await;
}

// CORE-pf-superset; CONTRACT N9
#[tokio::test(start_paused = true)]
async fn a_list_that_still_has_the_connected_address_keeps_its_connection() {
    let net = Net::default();
    let _hosts = ["a", "b", "c"].map(|name| net.serve(name));
    let (names, channel) = first(&net, &["a"]);
    assert_eq!(called(&channel).await, "a");
    for list in [&["b", "a"][..], &["c", "b", "a"], &["c", "a", "b"]] {
        names.set(list);
        others_have_run().await;
        assert_eq!(called_times(&channel, 5).await, ["a"; 5]);
    }
    assert_eq!(net.dials(), 1);
}

// CORE-pf-top-of-list; CONTRACT L6
#[tokio::test(start_paused = true)]
async fn after_a_loss_addresses_are_tried_from_the_top() {
    let net = Net::default();
    let b = net.serve("b");
    let (_names, channel) = first(&net, &["a", "b"]);
    assert_eq!(called(&channel).await, "b");
    tokio::time::sleep(10 * S).await;
    let _a = net.serve("a");
    drop(b);
    let _b = net.serve("b");
    until(|| ready(&channel) == ["a"]).await;
    assert_eq!(called(&channel).await, "a");
}

// CORE-pf-idle, as it holds here: CONTRACT C3, W9
#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_made_anew_without_a_call() {
    let net = Net::default();
    let a = net.serve("a");
    let (names, channel) = first(&net, &["a", "b"]);
    succeeds(&channel).await;
    drop(a);
    let _a = net.serve("a");
    tokio::time::sleep(S).await;
    assert_eq!((ready(&channel), net.dials()), (vec!["a".to_owned()], 2));
    names.set::<&str>(&[]);
    tokio::time::sleep(S).await;
    assert_eq!((ready(&channel), net.dials()), (vec!["a".to_owned()], 2));
}

// CORE-pf-idle, of a channel that closes idle connections
#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_as_idle_waits_for_a_call() {
    let net = Net::default();
    let _hosts = ["a", "b"].map(|name| net.serve(name));
    let (_names, builder) = Names::new(&net, &["a", "b"]);
    let builder = builder.picker(PickFirst::new()).max_idle(10 * S);
    let channel = builder.build().unwrap();
    succeeds(&channel).await;
    tokio::time::sleep(60 * S).await;
    assert_eq!((channel.state(), net.dials()), (Connectivity::Idle, 1));
    assert_eq!(called(&channel).await, "a");
    assert_eq!(net.dials(), 2);
}

// GO-pf-resolver-error; CONTRACT N2, N3
#[tokio::test(start_paused = true)]
async fn an_error_of_the_resolver_shows_only_where_no_server_is_reached() {
    let net = Net::default();
    let (names, builder) = Names::none(&net);
    let channel = builder.picker(PickFirst::new()).build().unwrap();
    names.fail("test error");
    others_have_run().await;
    assert!(error(&channel).await.contains("test error"));
    // CONNECTING: ignored.
    let _silent = net.accept("a");
    names.set(&["a"]);
    until(|| channel.state() == Connectivity::Connecting).await;
    let waits = spawn(&channel);
    names.fail("while connecting");
    others_have_run().await;
    assert_eq!(channel.state(), Connectivity::Connecting);
    assert!(!waits.is_finished());
    waits.abort();
    // READY: ignored.
    let b = net.serve("b");
    names.set(&["b"]);
    channel.connected(LONG).await.unwrap();
    names.fail("while ready");
    others_have_run().await;
    succeeds(&channel).await;
    // TRANSIENT_FAILURE: the latest reason is shown.
    net.refuse("b");
    drop(b);
    until(|| channel.state() == Connectivity::TransientFailure).await;
    assert!(error(&channel).await.contains("refused"));
    names.fail("while failing");
    others_have_run().await;
    assert!(error(&channel).await.contains("while failing"));
}

// CORE-pf-sticky, CORE-rr-sticky; CONTRACT C4, R19
#[tokio::test(start_paused = true)]
async fn a_channel_that_failed_stays_so_until_it_is_ready() {
    for is_first in [true, false] {
        let net = Net::default();
        let (_names, builder) = Names::new(&net, &["a", "b"]);
        let builder = if is_first {
            builder.picker(PickFirst::new())
        } else {
            builder.picker(RoundRobin::new())
        };
        let channel = builder.build().unwrap();
        until(|| channel.state() == Connectivity::TransientFailure).await;
        let mut silent = Vec::new();
        for name in ["a", "b"] {
            silent.push(net.accept(name));
        }
        let start = Instant::now();
        while start.elapsed() < 30 * S {
            assert_eq!(channel.state(), Connectivity::TransientFailure);
            let error = error(&channel).await;
            assert!(error.contains("TRANSIENT_FAILURE"), "{error}");
            tokio::time::sleep(50 * MS).await;
        }
        // The latest attempt failed otherwise than the first one.
        assert!(
            error(&channel).await.contains("SETTINGS"),
            "{}",
            error(&channel).await
        );
        drop(silent);
        let _hosts = ["a", "b"].map(|name| net.serve(name));
        channel.connected(LONG).await.unwrap();
        succeeds(&channel).await;
    }
}

// GO-pf-happy-eyeballs; CONTRACT L6
#[tokio::test(start_paused = true)]
async fn the_second_address_is_tried_after_250_ms_or_at_once_after_a_failure() {
    let net = Net::default();
    let mut silent = net.accept("silent");
    let _hosts = [net.serve("b"), net.serve("c")];
    let (_names, channel) = first(&net, &["silent", "b", "c"]);
    let start = Instant::now();
    channel.connected(LONG).await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 250);
    assert_eq!(called(&channel).await, "b");
    assert_eq!(net.dials(), 2, "the third is not tried");
    // The dial to the silent one has ended, and is no failure.
    let loser = silent.recv().await.unwrap();
    until(|| net.open() == 1).await;
    drop(loser);
    let states = channel.snapshot().endpoints;
    assert_eq!(states[0].state, Connectivity::Idle);
    assert_eq!((&states[0].error, states[0].next_dial), (&None, None));

    let net = Net::default();
    let _host = net.serve("b");
    let (_names, channel) = first(&net, &["refuses", "b"]);
    let start = Instant::now();
    channel.connected(LONG).await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 0);
}

/// Notes which addresses are dialled, and connects to none.
#[derive(Clone, Default)]
struct Dials(Arc<std::sync::Mutex<Vec<String>>>);

impl Service<Address> for Dials {
    type Response = End;
    type Error = std::io::Error;
    type Future = std::future::Ready<std::io::Result<End>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Address) -> Self::Future {
        self.0.lock().unwrap().push(address.to_string());
        std::future::ready(Err(std::io::ErrorKind::ConnectionRefused.into()))
    }
}

/// Says one set of addresses.
struct Once(Option<Vec<&'static str>>);

impl Resolver for Once {
    fn poll_resolution(
        &mut self,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Resolution, ResolveError>>> {
        let parsed = |text: &str| Address::Tcp(text.parse().unwrap());
        Poll::Ready(
            self.0
                .take()
                .map(|all| Ok(all.into_iter().map(parsed).collect())),
        )
    }
}

async fn dialled(picker: PickFirst, addresses: &[&'static str]) -> Vec<String> {
    let dials = Dials::default();
    let _channel = Channel::builder("unix:names")
        .connector(dials.clone())
        .resolver(Once(Some(addresses.to_vec())))
        .picker(picker)
        .build()
        .unwrap();
    until(|| dials.0.lock().unwrap().len() >= addresses.len()).await;
    let dialled = dials.0.lock().unwrap().clone();
    dialled.into_iter().take(addresses.len()).collect()
}

// GO-pf-happy-eyeballs, A61, A62; CONTRACT L6
#[tokio::test(start_paused = true)]
async fn families_take_turns_and_a_list_is_shuffled_on_request() {
    let given = ["[::1]:1", "[::2]:1", "10.0.0.1:1", "10.0.0.2:1"];
    assert_eq!(
        dialled(PickFirst::new(), &given).await,
        ["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1"]
    );
    let many = [
        "10.0.0.1:1",
        "10.0.0.2:1",
        "10.0.0.3:1",
        "10.0.0.4:1",
        "10.0.0.5:1",
        "10.0.0.6:1",
    ];
    assert_eq!(dialled(PickFirst::new(), &many).await, many);
    let mut orders = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let shuffled = PickFirst::new().shuffle_address_list(true);
        orders.insert(dialled(shuffled, &many).await);
    }
    assert!(orders.len() > 15, "{}", orders.len());
    for _ in 0..20 {
        let shuffled = PickFirst::new().shuffle_address_list(true);
        let order = dialled(shuffled, &given).await;
        let is_v6 = |text: &String| text.starts_with('[');
        let takes_turns = order.windows(2).all(|it| is_v6(&it[0]) != is_v6(&it[1]));
        assert!(takes_turns, "{order:?}");
    }
}

// JAVA-backoff-pass; CONTRACT L6, C3
#[tokio::test(start_paused = true)]
async fn the_backoff_begins_after_a_whole_pass() {
    let net = Net::default();
    let start = Instant::now();
    let (_names, channel) = first(&net, &["a", "b", "c"]);
    until(|| channel.state() == Connectivity::TransientFailure).await;
    assert!(start.elapsed() < 20 * MS);
    assert_eq!(net.dials(), 3);
    tokio::time::sleep(60 * MS).await;
    assert_eq!(net.dials(), 3);
    let _b = net.serve("b");
    channel.connected(S).await.unwrap();
    assert_eq!(called(&channel).await, "b");
}

// CORE-pf-many-updates; CONTRACT L6, L7
#[tokio::test(start_paused = true)]
async fn a_thousand_shuffled_lists_fail_no_call_and_leave_nothing() {
    let net = Net::default();
    let mut list: Vec<String> = (0..10).map(|it| format!("host-{it}")).collect();
    let _hosts: Vec<_> = list.iter().map(|name| net.serve(name)).collect();
    let (names, builder) = Names::none(&net);
    names.set(&list);
    let channel = builder.picker(PickFirst::new()).build().unwrap();
    succeeds(&channel).await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let mut seed = 3_u64;
    for update in 0..1_000 {
        for last in (1..list.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            list.swap(last, (seed >> 33) as usize % (last + 1));
        }
        names.set(&list);
        if update % 10 == 0 {
            succeeds(&channel).await;
        }
    }
    others_have_run().await;
    assert_eq!((net.dials(), net.open(), tasks()), (1, 1, before));
}

// CORE-rr-order, GO-rr-down; CONTRACT L4
#[tokio::test(start_paused = true)]
async fn three_servers_take_turns_in_their_order_and_the_others_share_if_one_goes_down() {
    let net = Net::default();
    let [_a, b, _c] = ["a", "b", "c"].map(|name| net.serve(name));
    let (_names, builder) = Names::new(&net, &["a", "b", "c"]);
    let channel = builder.picker(RoundRobin::new()).build().unwrap();
    until_ready(&channel, 3).await;
    let called = called_times(&channel, 30).await.concat();
    assert!(
        "abcabcabcabcabcabcabcabcabcabcabcabc".contains(&called),
        "{called}"
    );
    net.refuse("b");
    drop(b);
    others_have_run().await;
    let called = called_times(&channel, 30).await.concat();
    until_ready(&channel, 2).await;
    assert_eq!(called.matches('b').count(), 0, "{called}");
    let called = called_times(&channel, 30).await.concat();
    assert!(
        "acacacacacacacacacacacacacacacacaca".contains(&called),
        "{called}"
    );
}

// CORE-rr-update-in-error; CONTRACT L1, N9
#[tokio::test(start_paused = true)]
async fn an_update_during_an_outage_splits_calls_over_those_that_are_up() {
    let net = Net::default();
    let _a = net.serve("a");
    let (names, builder) = Names::new(&net, &["a", "down"]);
    let channel = builder.picker(RoundRobin::new()).build().unwrap();
    until_ready(&channel, 1).await;
    assert_eq!(called_times(&channel, 6).await, ["a"; 6]);
    let _new = net.serve("new");
    names.set(&["a", "down", "new"]);
    until_ready(&channel, 2).await;
    let called = called_times(&channel, 20).await;
    assert_eq!(called.iter().filter(|it| *it == "new").count(), 10);
}

// CORE-rr-no-failures; CONTRACT W9
#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_stops_and_is_back_fails_no_call() {
    let net = Net::default();
    let (_names, builder) = Names::new(&net, &["a"]);
    let (mut stop, mut host) = net.serve_until("a");
    let channel = connected(builder.picker(RoundRobin::new())).await;
    let calls = Arc::<AtomicUsize>::default();
    let caller = tokio::spawn({
        let (channel, calls) = (channel.clone(), Arc::clone(&calls));
        async move {
            loop {
                let mut request = request();
                request.call_options().wait_for_ready();
                assert_eq!(status(send(&channel, request).await).await, 0);
                calls.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(MS).await;
            }
        }
    });
    for _ in 0..10 {
        tokio::time::sleep(100 * MS).await;
        net.refuse("a");
        stop.send(()).unwrap();
        tokio::time::sleep(50 * MS).await;
        (stop, host) = net.serve_until("a");
    }
    let before = calls.load(Ordering::Relaxed);
    until(|| calls.load(Ordering::Relaxed) > before).await;
    assert!(!caller.is_finished());
    caller.abort();
    drop((host, stop));
}
