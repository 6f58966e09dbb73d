//! Single decisions of the balancer: which answers are changes, and which words calls show.

use std::task::{Context, Poll};
use std::time::Duration;

use grpc_resilience::channel::pick::PickFirst;
use grpc_resilience::channel::resolve::{Resolution, ResolveError, Resolver};
use grpc_resilience::channel::{Address, Channel, Connectivity};

use crate::common::log::Ear;
use crate::common::manner::Manner;
use crate::common::names::Names;
use crate::common::net::Net;
use crate::common::*;

const S: Duration = Duration::from_secs(1);

// CONTRACT N9
#[tokio::test(start_paused = true)]
async fn addresses_in_another_order_are_no_event_and_pickers_see_the_new_order() {
    let ear = Ear::new();
    let net = Net::default();
    let _hosts = ["a", "b"].map(|name| net.serve(name));
    let (names, builder) = Names::new(&net, &["a", "b"]);
    let channel = builder.build().unwrap();
    until_ready(&channel, 2).await;
    let said = ear.count("endpoints=");
    names.set(&["b", "a"]);
    until(|| ready(&channel) == ["b", "a"]).await;
    assert_eq!(ear.count("endpoints="), said, "{}", ear.text());
    assert_eq!(net.dials(), 2);
}

/// Says the next address when it is asked again, and wakes no task for it.
struct Moves {
    next: Option<&'static str>,
    others: Vec<&'static str>,
}

impl Resolver for Moves {
    fn poll_resolution(
        &mut self,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Resolution, ResolveError>>> {
        let Some(name) = self.next.take() else {
            return Poll::Pending;
        };
        Poll::Ready(Some(Ok([Address::Unix(name.into())].into_iter().collect())))
    }

    fn resolve_again(&mut self) {
        self.next = self.others.pop();
    }
}

// CONTRACT N5
#[tokio::test(start_paused = true)]
async fn a_resolver_that_was_asked_again_is_polled() {
    let net = Net::default();
    let a = net.serve("a");
    let _b = net.serve("b");
    let resolver = Moves {
        next: Some("a"),
        others: vec!["b"],
    };
    let builder = Channel::builder("unix:names").connector(net.clone());
    let channel = connected(builder.resolver(resolver)).await;
    net.refuse("a");
    drop(a);
    channel.connected(S).await.unwrap_or_default();
    until(|| ready(&channel) == ["b"]).await;
    assert_eq!(called(&channel).await, "b");
}

// CONTRACT R19, N2
#[tokio::test(start_paused = true)]
async fn an_older_error_of_a_dial_does_not_hide_the_newer_one_of_the_resolver() {
    let net = Net::default();
    let (names, builder) = Names::new(&net, &["a"]);
    let channel = builder.build().unwrap();
    until(|| channel.state() == Connectivity::TransientFailure).await;
    let _silent = net.accept("a");
    names.fail("SERVFAIL");
    let dials = net.dials();
    // The next dial begins, and has not failed yet.
    until(|| net.dials() > dials).await;
    others_have_run().await;
    let error = call(&channel).await.unwrap_err();
    assert!(error.message().contains("SERVFAIL"), "{error:?}");
}

// CONTRACT N10
#[tokio::test(start_paused = true)]
async fn a_snapshot_lists_removed_endpoints_in_the_order_in_which_they_came() {
    let net = Net::default();
    let slow = Manner::taking(100_000);
    let removed = ["a", "b", "c", "d", "e", "f"];
    let _hosts = removed.map(|name| net.serve_as(name, &slow));
    let _other = net.serve("other");
    let (names, builder) = Names::new(&net, &removed);
    let channel = builder.build().unwrap();
    until_ready(&channel, 6).await;
    let calls = removed.map(|name| {
        use grpc_resilience::call::CallOptionsExt as _;
        let mut request = request();
        request.call_options().endpoint(format!("unix:{name}"));
        let channel = channel.clone();
        tokio::spawn(async move { send(&channel, request).await })
    });
    until(|| slow.calls() == 6).await;
    names.set(&["other"]);
    until(|| ready(&channel) == ["other"]).await;
    let endpoints = channel.snapshot().endpoints;
    let left = endpoints.iter().filter(|it| it.is_removed);
    let left: Vec<_> = left.map(|it| it.name.trim_start_matches("unix:")).collect();
    assert_eq!(left, removed);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}

// CONTRACT L6: a waiting call of a channel that connects to one address
#[tokio::test(start_paused = true)]
async fn an_idle_pick_first_channel_dials_its_first_address_alone() {
    let net = Net::default();
    let _hosts = ["a", "b", "c"].map(|name| net.serve(name));
    let (_names, builder) = Names::new(&net, &["a", "b", "c"]);
    let builder = builder.picker(PickFirst::new()).max_idle(10 * S);
    let channel = connected(builder).await;
    tokio::time::sleep(60 * S).await;
    assert_eq!(channel.state(), Connectivity::Idle);
    succeeds(&channel).await;
    others_have_run().await;
    assert_eq!((net.dials(), net.open()), (2, 1));
}

// CONTRACT N5
#[tokio::test(start_paused = true)]
async fn a_wish_that_came_too_early_is_passed_on_though_nothing_else_happens() {
    let net = Net::default();
    let (names, builder) = Names::new(&net, &["a"]);
    let mut host = net.serve("a");
    let channel = connected(builder).await;
    tokio::time::sleep(10 * S).await;
    for _ in 0..3 {
        // The next dial is 100 ms after the one before it.
        tokio::time::sleep(150 * MS).await;
        drop(host);
        host = net.serve("a");
        until(|| net.open() == 1 && channel.state() == Connectivity::Ready).await;
    }
    assert_eq!(names.asked(), 2);
    tokio::time::sleep(2 * S).await;
    assert_eq!((names.asked(), net.dials()), (3, 4));
    drop(host);
}

// CONTRACT C4, N9
#[tokio::test(start_paused = true)]
async fn the_state_of_a_removed_endpoint_is_no_state_of_the_channel() {
    let net = Net::default();
    let _host = net.serve("a");
    let _silent = net.accept("silent");
    let (names, builder) = Names::new(&net, &["a"]);
    let channel = connected(builder).await;
    names.set(&["silent"]);
    others_have_run().await;
    assert_eq!(channel.state(), Connectivity::Connecting);
}

// CONTRACT L6, C3
#[tokio::test(start_paused = true)]
async fn the_250_ms_of_an_address_begin_with_its_dial_after_the_backoff() {
    let net = Net::default();
    let (_names, builder) = Names::new(&net, &["a", "b"]);
    let channel = builder.picker(PickFirst::new()).build().unwrap();
    until(|| channel.state() == Connectivity::TransientFailure).await;
    let start = tokio::time::Instant::now();
    let _silent = net.accept("a");
    let _host = net.serve("b");
    channel.connected(LONG).await.unwrap();
    // The backoff is 100 ms, +-20 %.
    let took = start.elapsed().as_millis();
    assert!((325..=375).contains(&took), "{took} ms");
}

// CONTRACT N10
#[tokio::test(start_paused = true)]
async fn a_removed_endpoint_without_calls_is_soon_gone_from_the_snapshot() {
    let net = Net::default();
    let _hosts = ["a", "b", "c"].map(|name| net.serve(name));
    let (names, builder) = Names::new(&net, &["a", "b", "c"]);
    let channel = builder.build().unwrap();
    until_ready(&channel, 3).await;
    // Its last dial was a moment ago, so that it is remembered for 100 ms.
    names.set(&["a"]);
    until(|| ready(&channel) == ["a"]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let snapshot = channel.snapshot();
    let names: Vec<_> = snapshot.endpoints.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["unix:a"], "{snapshot}");
}
