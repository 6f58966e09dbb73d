//! What the channel makes of its resolver's answers (CONTRACT N).

use std::time::Duration;

use grpc_resilience::channel::resolve::{Resolution, ResolveError, Resolver};
use grpc_resilience::channel::{Channel, Connectivity};
use grpc_resilience::classify::Progress;
use grpc_resilience::grpc::Code;
use tonic::transport::Server;

use crate::common::log::Ear;
use crate::common::names::Names;
use crate::common::net::Net;
use crate::common::*;

const S: Duration = Duration::from_secs(1);

/// The error of a call that does not wait.
async fn error(channel: &Channel) -> String {
    let error = call(channel).await.unwrap_err();
    assert_eq!(error.progress(), Progress::NotSent);
    assert_eq!(error.verdict().code, Code::Unavailable);
    error.message().to_owned()
}

// CONTRACT N3
#[tokio::test(start_paused = true)]
async fn before_the_first_answer_calls_wait() {
    let net = Net::default();
    let _host = net.serve("a");
    let (names, builder) = Names::none(&net);
    let channel = builder.build().unwrap();
    let waits = spawn(&channel);
    tokio::time::sleep(3 * S).await;
    assert_eq!(channel.snapshot().waiting, 1);
    assert_eq!(channel.state(), Connectivity::Connecting);
    names.set(&["a"]);
    assert_eq!(status(waits.await.unwrap()).await, 0);
}

// CONTRACT N3
#[tokio::test(start_paused = true)]
async fn without_a_set_calls_wait_for_one_or_fail_with_the_resolver_s_words() {
    for is_empty in [false, true] {
        let net = Net::default();
        let _host = net.serve("a");
        let (names, builder) = Names::none(&net);
        let channel = builder.build().unwrap();
        let first = spawn(&channel);
        others_have_run().await;
        if is_empty {
            names.set::<&str>(&[]);
        } else {
            names.fail("SERVFAIL");
        }
        let text = if is_empty {
            "has no address"
        } else {
            "SERVFAIL"
        };
        let failed = first.await.unwrap().unwrap_err();
        assert!(failed.message().contains(text), "{failed:?}");
        assert!(error(&channel).await.contains(text));
        let waits = tokio::spawn({
            let channel = channel.clone();
            async move { send(&channel, patient()).await }
        });
        tokio::time::sleep(100 * S).await;
        assert_eq!(channel.snapshot().waiting, 1);
        names.set(&["a"]);
        assert_eq!(status(waits.await.unwrap()).await, 0);
    }
}

// CONTRACT N2; issue 22: the resolver is down
#[tokio::test(start_paused = true)]
async fn a_failed_resolution_keeps_the_last_set_with_one_warning() {
    let ear = Ear::new();
    let net = Net::default();
    let _host = net.serve("a");
    let (names, builder) = Names::new(&net, &["a"]);
    let channel = connected(builder).await;
    for _ in 0..600 {
        names.fail("SERVFAIL");
        tokio::time::sleep(S).await;
        succeeds(&channel).await;
    }
    assert_eq!(ear.count("WARN"), 1, "{}", ear.text());
    names.set(&["a"]);
    others_have_run().await;
    assert_eq!(ear.count("resolved again"), 1, "{}", ear.text());
    assert_eq!(net.dials(), 1);
}

// CONTRACT N2
#[tokio::test(start_paused = true)]
async fn a_target_without_an_address_keeps_the_last_set_for_60_s() {
    let ear = Ear::new();
    let net = Net::default();
    let _host = net.serve("a");
    let (names, builder) = Names::new(&net, &["a"]);
    let channel = connected(builder).await;
    names.no_address("NXDOMAIN");
    tokio::time::sleep(59 * S).await;
    succeeds(&channel).await;
    tokio::time::sleep(2 * S).await;
    assert!(error(&channel).await.contains("NXDOMAIN"));
    assert_eq!(channel.state(), Connectivity::TransientFailure);
    assert_eq!(net.open(), 0, "the connection is closed");
    assert_eq!(ear.count("has no address any more"), 1, "{}", ear.text());
    names.set(&["a"]);
    channel.connected(S).await.unwrap();
    succeeds(&channel).await;
}

// CONTRACT N4
#[tokio::test(start_paused = true)]
async fn an_address_that_is_named_twice_is_one_endpoint() {
    let net = Net::default();
    let _hosts = [net.serve("a"), net.serve("b")];
    let (_names, builder) = Names::new(&net, &["a", "b", "a"]);
    let channel = builder.build().unwrap();
    until_ready(&channel, 2).await;
    assert_eq!((net.dials(), channel.snapshot().endpoints.len()), (2, 2));
}

// CONTRACT N5; CORE-rr-reresolve
#[tokio::test(start_paused = true)]
async fn a_lost_connection_a_goaway_and_a_failed_dial_ask_the_resolver_again() {
    let net = Net::default();
    let lost = net.serve("lost");
    let (stop, _host) = net.serve_until("goes");
    let (names, builder) = Names::new(&net, &["lost", "goes"]);
    let channel = builder.build().unwrap();
    until_ready(&channel, 2).await;
    tokio::time::sleep(10 * S).await;
    assert_eq!(names.asked(), 0);
    drop(lost);
    others_have_run().await;
    assert_eq!(names.asked(), 1, "a lost connection");
    net.refuse("lost");
    let before = names.asked();
    tokio::time::sleep(60 * S).await;
    let asked = names.asked() - before;
    assert!((6..=30).contains(&asked), "failed dials: {asked}");
    let _lost = net.serve("lost");
    until_ready(&channel, 2).await;
    tokio::time::sleep(10 * S).await;
    let before = names.asked();
    net.refuse("goes");
    stop.send(()).unwrap();
    others_have_run().await;
    assert!(names.asked() > before, "a GOAWAY");
}

// CONTRACT N5
#[tokio::test(start_paused = true)]
async fn the_resolver_is_asked_at_most_once_a_second_with_a_burst_of_2() {
    let net = Net::default();
    let (names, builder) = Names::none(&net);
    let hosts: Vec<String> = (0..50).map(|it| format!("host-{it}")).collect();
    names.set(&hosts);
    let _channel = builder.build().unwrap();
    others_have_run().await;
    // All 50 failed at once.
    assert_eq!(names.asked(), 1);
    for second in 1..=30 {
        tokio::time::sleep(S).await;
        assert!(names.asked() <= 2 + second, "{}", names.asked());
    }
    assert!(names.asked() >= 25, "{}", names.asked());
}

// CONTRACT N9
#[tokio::test(start_paused = true)]
async fn an_address_that_stays_keeps_its_connection_its_state_and_its_counters() {
    let net = Net::default();
    let _hosts = [net.serve("a"), net.serve("b"), net.serve("c")];
    let (names, builder) = Names::new(&net, &["a", "b"]);
    let channel = builder.build().unwrap();
    until_ready(&channel, 2).await;
    called_times(&channel, 20).await;
    tokio::time::sleep(5 * S).await;
    let of_b = |channel: &Channel| {
        let endpoints = channel.snapshot().endpoints;
        let b = endpoints.into_iter().find(|it| it.name == "unix:b");
        b.unwrap()
    };
    let before = of_b(&channel);
    names.set(&["c", "b"]);
    until(|| ready(&channel) == ["c", "b"]).await;
    let after = of_b(&channel);
    assert!(after.since >= before.since && before.since >= 5 * S);
    assert_eq!(after.latency, before.latency);
    assert_eq!(after.connections[0].streams, before.connections[0].streams);
    assert!(after.connections[0].streams > 0);
    assert_eq!(net.dials(), 3);
}

/// Says one set, and panics when it is asked for more.
struct Panics(bool);

impl Resolver for Panics {
    fn poll_resolution(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Resolution, ResolveError>>> {
        assert!(!std::mem::replace(&mut self.0, true), "as users' code may");
        let address = grpc_resilience::channel::Address::Unix("a".into());
        std::task::Poll::Ready(Some(Ok([address].into_iter().collect())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_panics_costs_its_further_answers_and_no_more() {
    let net = Net::default();
    let host = net.serve("a");
    let builder = Channel::builder("unix:names").connector(net.clone());
    let channel = connected(builder.resolver(Panics(false))).await;
    succeeds(&channel).await;
    drop(host);
    let _host = net.serve("a");
    tokio::time::sleep(S).await;
    succeeds(&channel).await;
}

#[tokio::test(start_paused = true)]
async fn the_resolver_ends_with_the_channel() {
    let net = Net::default();
    let (names, builder) = Names::new(&net, &["a"]);
    let channel = builder.build().unwrap();
    others_have_run().await;
    assert!(!names.is_over());
    drop(channel);
    until(|| names.is_over()).await;
}

#[tokio::test(start_paused = true)]
async fn changes_of_the_addresses_are_events() {
    let ear = Ear::new();
    let net = Net::default();
    let _hosts = [net.serve("a"), net.serve("b")];
    let (names, builder) = Names::new(&net, &["a"]);
    let channel = connected(builder).await;
    assert_eq!(ear.count("endpoints=1 added=unix:a removed="), 1);
    names.set(&["b"]);
    until(|| ready(&channel) == ["b"]).await;
    let changed = ear.count("INFO");
    assert_eq!(ear.count("endpoints=1 added=unix:b removed=unix:a"), 1);
    names.set(&["b"]);
    others_have_run().await;
    assert_eq!(ear.count("INFO"), changed, "nothing has changed");
}

#[tokio::test(start_paused = true)]
async fn connections_that_age_ask_for_new_addresses_once_a_second() {
    let net = Net::default();
    let aging = || Server::builder().max_connection_age(500 * MS);
    let _hosts = [net.serve_with("a", aging()), net.serve_with("b", aging())];
    let (names, builder) = Names::new(&net, &["a", "b"]);
    let channel = connected(builder).await;
    for _ in 0..500 {
        // A retry layer repeats those that a GOAWAY has refused.
        let _ = call(&channel).await;
        tokio::time::sleep(10 * MS).await;
    }
    assert!(net.dials() >= 10, "{}", net.dials());
    assert!((3..=8).contains(&names.asked()), "{}", names.asked());
}
