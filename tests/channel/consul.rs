//! The targets of Consul, against an agent on a real socket (CONTRACT N7).

use std::error::Error as _;
use std::future::{Pending, pending};
use std::io;
use std::net::Ipv6Addr;
use std::time::Duration;

use grpc_resilience::channel::{Address, Builder, Channel, Connectivity};
use testing::{ConsulAgent, ConsulFault, ConsulInstance, ConsulQuery, Server};
use tokio::io::DuplexStream;
use tokio::time::Instant;
use tower::service_fn;

use crate::common::log::Ear;
use crate::common::*;

const TOKEN: &str = "s3cret-token";

fn instance(address: &str) -> ConsulInstance {
    ConsulInstance::new("orders", address.parse().unwrap())
}

/// A channel that never connects to the instances.
fn unconnected(agent: &ConsulAgent, rest: &str) -> Builder {
    let connector = |_: Address| -> Pending<io::Result<DuplexStream>> { pending() };
    let target = format!("consul://{}/orders{rest}", agent.address());
    Channel::builder(target).connector(service_fn(connector))
}

fn follow(agent: &ConsulAgent) -> Channel {
    unconnected(agent, "").build().unwrap()
}

fn endpoints(channel: &Channel) -> Vec<String> {
    let endpoints = channel.snapshot().endpoints.into_iter();
    let present = endpoints.filter(|it| !it.is_removed);
    let mut names: Vec<_> = present.map(|it| it.name.clone()).collect();
    names.sort();
    names
}

async fn until_they_are(channel: &Channel, expected: &[&str]) {
    until(|| endpoints(channel) == expected).await;
}

fn indices(agent: &ConsulAgent) -> Vec<Option<u64>> {
    agent.queries().iter().map(|it| it.index).collect()
}

async fn until_asked(agent: &ConsulAgent, queries: usize) {
    until(|| agent.queries().len() >= queries).await;
}

/// Until a query waits at the agent.
async fn until_waiting(agent: &ConsulAgent) {
    until(|| agent.queries().last().is_some_and(|it| it.index.is_some())).await;
}

async fn error(channel: &Channel) -> String {
    call(channel).await.unwrap_err().message().to_owned()
}

// CONTRACT N7
#[tokio::test]
async fn instances_that_pass_are_the_addresses_and_changes_are_heard_of_at_once() {
    let agent = ConsulAgent::start().await.unwrap();
    agent.register(instance("127.0.0.1:1"));
    agent.register(instance("127.0.0.1:2"));
    agent.register(ConsulInstance::new("other", "127.0.0.1:9".parse().unwrap()));
    let channel = follow(&agent);
    until_they_are(&channel, &["127.0.0.1:1", "127.0.0.1:2"]).await;
    until_waiting(&agent).await;
    let changed = Instant::now();
    agent.set_passing("127.0.0.1:1", false);
    until_they_are(&channel, &["127.0.0.1:2"]).await;
    assert!(changed.elapsed() < Duration::from_millis(900), "no poll");
    agent.set_passing("127.0.0.1:1", true);
    until_they_are(&channel, &["127.0.0.1:1", "127.0.0.1:2"]).await;
    agent.deregister("127.0.0.1:2");
    until_they_are(&channel, &["127.0.0.1:1"]).await;
    let queries = agent.queries();
    assert!(queries[0].path.ends_with("/orders?passing=1"));
    assert!(queries[1].path.ends_with("&wait=300000ms"), "{queries:?}");
}

// CONTRACT N7
#[tokio::test]
async fn tags_and_failing_instances_are_chosen_by_the_target() {
    let agent = ConsulAgent::start().await.unwrap();
    agent.register(instance("127.0.0.1:1").tag("blue").tag("v 2"));
    agent.register(instance("127.0.0.1:2").tag("blue"));
    agent.register(instance("127.0.0.1:3").tag("green"));
    agent.set_passing("127.0.0.1:2", false);
    for (rest, expected) in [
        ("?tag=blue", &["127.0.0.1:1"][..]),
        ("?tag=blue&tag=v%202", &["127.0.0.1:1"]),
        ("?tag=green&stale", &["127.0.0.1:3"]),
        ("?tag=blue&passing=false", &["127.0.0.1:1", "127.0.0.1:2"]),
    ] {
        let channel = unconnected(&agent, rest).build().unwrap();
        until_they_are(&channel, expected).await;
    }
    let all = agent.queries();
    assert!(all.iter().any(|it| it.path.contains("&stale")), "{all:?}");
}

// CONTRACT N7
#[tokio::test]
async fn the_agent_and_the_instances_may_have_ipv6_and_the_node_s_address_counts() {
    let agent = ConsulAgent::start_on(Ipv6Addr::LOCALHOST.into())
        .await
        .unwrap();
    agent.register(instance("[::1]:1"));
    agent.register(ConsulInstance {
        address: String::new(),
        ..instance("127.0.0.9:2")
    });
    let channel = follow(&agent);
    until_they_are(&channel, &["127.0.0.1:2", "[::1]:1"]).await;
}

// CONTRACT N7
#[tokio::test]
async fn an_instance_without_an_ip_address_is_left_out_with_one_warning() {
    let ear = Ear::new();
    let agent = ConsulAgent::start().await.unwrap();
    agent.register(ConsulInstance {
        address: "orders.internal".into(),
        ..instance("127.0.0.1:1")
    });
    agent.register(instance("127.0.0.1:2"));
    let channel = follow(&agent);
    until_they_are(&channel, &["127.0.0.1:2"]).await;
    agent.register(instance("127.0.0.1:3"));
    until_they_are(&channel, &["127.0.0.1:2", "127.0.0.1:3"]).await;
    let text = ear.text();
    assert_eq!(ear.count("address=\"orders.internal:1\""), 1, "{text}");
}

/// There is at most one query a second after the first two. The agent reads the clock some time
/// after the channel has, so that from `start` on none can come too early.
fn is_within_rate(queries: &[ConsulQuery], start: Instant) {
    for (before, query) in (0_u32..).zip(queries) {
        let passed = query.at - start;
        let least = Duration::from_secs(1) * before.saturating_sub(1);
        assert!(passed >= least, "{} queries in {passed:?}", before + 1);
    }
}

// CONTRACT N7; issue 24: 50 updates a second
#[tokio::test]
async fn there_is_one_query_a_second_after_a_burst_of_2_however_much_changes() {
    let agent = ConsulAgent::start().await.unwrap();
    agent.register(instance("127.0.0.1:1"));
    let start = Instant::now();
    let channel = follow(&agent);
    let mut ticks = tokio::time::interval(20 * MS);
    for update in 0_u16..160 {
        ticks.tick().await;
        agent.register(instance(&format!("127.0.0.1:{}", 2 + update % 2)));
        agent.set_passing("127.0.0.1:3", update % 3 == 0);
    }
    let queries = agent.queries();
    is_within_rate(&queries, start);
    assert!(queries.len() > 2, "it goes on to ask: {queries:?}");
    agent.set_passing("127.0.0.1:3", true);
    until(|| endpoints(&channel).len() == 3).await;
}

// CONTRACT N7
#[tokio::test]
async fn an_index_that_goes_back_starts_anew_and_no_change_is_missed() {
    let agent = ConsulAgent::start().await.unwrap();
    for port in 1..9 {
        agent.register(instance(&format!("127.0.0.1:{port}")));
    }
    let channel = follow(&agent);
    until(|| endpoints(&channel).len() == 8).await;
    until_waiting(&agent).await;
    let before = agent.queries().len();
    agent.rewind();
    until_asked(&agent, before + 2).await;
    assert_eq!(indices(&agent)[before..], [None, Some(1)]);
    agent.deregister("127.0.0.1:1");
    until(|| endpoints(&channel).len() == 7).await;
}

// CONTRACT N7
#[tokio::test]
async fn an_index_of_0_counts_as_1_and_no_index_is_no_answer() {
    let agent = ConsulAgent::start().await.unwrap();
    agent.register(instance("127.0.0.1:1"));
    agent.set_fault(Some(ConsulFault::ZeroIndex));
    let channel = follow(&agent);
    until_they_are(&channel, &["127.0.0.1:1"]).await;
    until_asked(&agent, 2).await;
    assert_eq!(indices(&agent)[..2], [None, Some(1)]);
    agent.set_fault(Some(ConsulFault::NoIndex));
    let other = follow(&agent);
    let text = error(&other).await;
    assert!(text.contains("is no agent of Consul"), "{text}");
}

// CONTRACT N2, N3, N7
#[tokio::test]
async fn before_the_first_set_calls_fail_with_the_agent_s_words_and_then_go() {
    let server = Server::tcp().await;
    let agent = ConsulAgent::start().await.unwrap();
    let target = format!("consul://{}/orders?tag=blue", agent.address());
    for (fault, words) in [
        (
            ConsulFault::Status(500),
            "the agent answers 500 Internal Server Error: it fails",
        ),
        (ConsulFault::Truncated, "is no list of instances"),
        (ConsulFault::Cut, "broke before its whole answer was there"),
        (ConsulFault::CutInBody, "broke before its whole answer"),
        (
            ConsulFault::Empty,
            "orders?tag=blue has no address: Consul has no such instance that passes its checks",
        ),
    ] {
        agent.set_fault(Some(fault));
        let channel = Channel::builder(&*target).build().unwrap();
        let text = error(&channel).await;
        assert!(text.contains(words), "{fault:?}: {text}");
        let waits = send(&channel, patient());
        agent.register(ConsulInstance::new("orders", server.addr().unwrap()).tag("blue"));
        agent.set_fault(None);
        let waited = tokio::time::timeout(LONG, waits).await.unwrap();
        assert_eq!(status(waited).await, 0, "{fault:?}");
        agent.deregister(&server.addr().unwrap().to_string());
    }
    agent.stop().await;
    let channel = Channel::builder(target).build().unwrap();
    let failed = call(&channel).await.unwrap_err();
    let words = format!("the agent can't be reached ({})", agent.address());
    assert!(failed.message().contains(&words), "{failed}");
    let mut cause = failed.source();
    while let Some(other) = cause.filter(|it| !it.is::<io::Error>()) {
        cause = other.source();
    }
    assert!(cause.is_some(), "{failed:?}");
}

// CONTRACT N2, N7
#[tokio::test]
async fn whatever_becomes_of_the_agent_the_last_addresses_stay_and_new_ones_come() {
    let server = Server::tcp().await;
    let address = server.addr().unwrap();
    let ear = Ear::new();
    let agent = ConsulAgent::start().await.unwrap();
    agent.register(ConsulInstance::new("orders", address));
    let builder = Channel::builder(format!("consul://{}/orders", agent.address()));
    let start = Instant::now();
    let channel = connected(builder).await;
    let mut added = 0;
    for fault in [
        Some(ConsulFault::Status(500)),
        Some(ConsulFault::Truncated),
        Some(ConsulFault::Cut),
        Some(ConsulFault::CutInBody),
        Some(ConsulFault::Empty),
        None,
    ] {
        until_waiting(&agent).await;
        let before = agent.queries().len();
        let failed = ear.count("WARN");
        match fault {
            None => agent.stop().await,
            fault => agent.set_fault(fault),
        }
        until(|| ear.count("WARN") > failed).await;
        for _ in 0..5 {
            succeeds(&channel).await;
        }
        assert!(
            endpoints(&channel).contains(&address.to_string()),
            "{fault:?}"
        );
        // What follows a failure does not wait.
        added += 1;
        agent.register(instance(&format!("127.0.0.1:{added}")));
        match fault {
            None => agent.restart().await.unwrap(),
            Some(_) => agent.set_fault(None),
        }
        until(|| endpoints(&channel).len() == 1 + added).await;
        let next = &indices(&agent)[before..];
        assert!(next.contains(&None), "{fault:?}: {next:?}");
    }
    is_within_rate(&agent.queries(), start);
}

// CONTRACT N7; linkerd2#1332
#[tokio::test]
async fn after_a_restart_of_the_agent_with_lower_indices_changes_are_heard_of() {
    let agent = ConsulAgent::start().await.unwrap();
    for port in 1..9 {
        agent.register(instance(&format!("127.0.0.1:{port}")));
    }
    let channel = follow(&agent);
    until(|| endpoints(&channel).len() == 8).await;
    until_waiting(&agent).await;
    agent.stop().await;
    agent.forget();
    agent.register(instance("127.0.0.1:9"));
    agent.restart().await.unwrap();
    until_they_are(&channel, &["127.0.0.1:9"]).await;
    agent.register(instance("127.0.0.1:10"));
    until_they_are(&channel, &["127.0.0.1:10", "127.0.0.1:9"]).await;
}

// CONTRACT N2, N7
#[tokio::test]
async fn an_empty_answer_keeps_the_last_addresses_for_60_s() {
    let server = Server::tcp().await;
    let address = server.addr().unwrap();
    let ear = Ear::new();
    let agent = ConsulAgent::start().await.unwrap();
    agent.register(ConsulInstance::new("orders", address));
    let builder = Channel::builder(format!("consul://{}/orders", agent.address()));
    let channel = connected(builder).await;
    until_waiting(&agent).await;
    agent.deregister(&address.to_string());
    until(|| ear.count("could not be resolved") == 1).await;
    let empty = agent.queries().len();
    for millis in [30_000, 25_000] {
        pass(millis).await;
        succeeds(&channel).await;
    }
    pass(6_000).await;
    until(|| ear.count("has no address any more") == 1).await;
    let text = error(&channel).await;
    assert!(text.contains("Consul has no such instance"), "{text}");
    until_asked(&agent, empty + 1).await;
    // Without an instance no query waits.
    assert!(indices(&agent)[empty..].iter().all(Option::is_none));
    agent.register(ConsulInstance::new("orders", address));
    channel.connected(LONG).await.unwrap();
    succeeds(&channel).await;
}

/// Moves the clock, while nothing is on its way.
pub(crate) async fn pass(millis: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(millis)).await;
    tokio::time::resume();
}

// CONTRACT N7
#[tokio::test]
async fn an_agent_that_goes_on_failing_is_asked_less_often_than_once_a_second() {
    let agent = ConsulAgent::start().await.unwrap();
    agent.set_fault(Some(ConsulFault::Status(500)));
    let _channel = follow(&agent);
    while agent.queries().len() < 10 {
        pass(31_000).await;
        tokio::time::sleep(5 * MS).await;
    }
    let before = agent.queries().len();
    for _ in 0..40 {
        pass(1_001).await;
        tokio::time::sleep(5 * MS).await;
    }
    // By now each delay is any time up to 30 s.
    let asked = agent.queries().len() - before;
    assert!(asked < 20, "{asked} queries in 40 s");
}

// CONTRACT N7
#[tokio::test]
async fn a_query_that_the_agent_does_not_end_is_given_up() {
    let server = Server::tcp().await;
    let agent = ConsulAgent::start().await.unwrap();
    agent.set_fault(Some(ConsulFault::Silence));
    let builder = Channel::builder(format!("consul://{}/orders", agent.address()));
    let channel = builder.build().unwrap();
    until_asked(&agent, 1).await;
    pass(9_000).await;
    others_have_run().await;
    assert_eq!(channel.state(), Connectivity::Connecting);
    pass(1_001).await;
    let text = error(&channel).await;
    assert!(text.contains("did not answer within 10s"), "{text}");

    agent.register(ConsulInstance::new("orders", server.addr().unwrap()));
    agent.set_fault(None);
    channel.connected(LONG).await.unwrap();
    until_waiting(&agent).await;
    agent.set_fault(Some(ConsulFault::Silence));
    let before = agent.queries().len();
    // 5 min, a sixteenth and 10 s.
    pass(320_000).await;
    others_have_run().await;
    assert_eq!(agent.queries().len(), before);
    pass(8_751).await;
    until_asked(&agent, before + 1).await;
    assert_eq!(indices(&agent)[before], None);
    succeeds(&channel).await;
}

// CONTRACT N5, N7
#[tokio::test]
async fn a_lost_connection_asks_anew_if_the_query_has_waited_for_long() {
    let server = Server::tcp().await;
    let agent = ConsulAgent::start().await.unwrap();
    agent.register(ConsulInstance::new("orders", server.addr().unwrap()));
    let builder = Channel::builder(format!("consul://{}/orders", agent.address()));
    let channel = connected(builder).await;
    until_waiting(&agent).await;
    let before = agent.queries().len();
    agent.set_fault(Some(ConsulFault::Silence));
    pass(11_000).await;
    server.stop();
    until_asked(&agent, before + 1).await;
    assert_eq!(indices(&agent)[before], None);
    // The connection of the query before is closed.
    until(|| agent.open() == 1).await;
    drop(channel);
    until(|| agent.open() == 0).await;
}

// CONTRACT N5, N7
#[tokio::test]
async fn a_lost_connection_does_not_end_a_query_that_waits_for_a_short_time() {
    let server = Server::tcp().await;
    let ear = Ear::new();
    let agent = ConsulAgent::start().await.unwrap();
    agent.register(ConsulInstance::new("orders", server.addr().unwrap()));
    let builder = Channel::builder(format!("consul://{}/orders", agent.address()));
    let _channel = connected(builder).await;
    until_waiting(&agent).await;
    let before = agent.queries().len();
    server.stop();
    until(|| ear.count("TRANSIENT_FAILURE") > 0).await;
    tokio::time::sleep(300 * MS).await;
    assert_eq!(agent.queries().len(), before, "{}", ear.text());
}

// CONTRACT N7
#[tokio::test]
async fn with_the_channel_its_query_is_gone() {
    let agent = ConsulAgent::start().await.unwrap();
    agent.register(instance("127.0.0.1:1"));
    let channel = follow(&agent);
    until_they_are(&channel, &["127.0.0.1:1"]).await;
    until_waiting(&agent).await;
    assert_eq!(agent.open(), 1);
    drop(channel);
    until(|| agent.open() == 0).await;
}

// CONTRACT N7
#[tokio::test]
async fn the_token_is_in_the_header_and_nowhere_else() {
    let ear = Ear::new();
    let agent = ConsulAgent::start().await.unwrap();
    agent.set_fault(Some(ConsulFault::Echo));
    let builder = unconnected(&agent, "?tag=a").consul_token(TOKEN);
    assert!(!format!("{builder:?}").contains(TOKEN));
    let channel = builder.build().unwrap();
    let failed = call(&channel).await.unwrap_err();
    let mut texts = vec![
        format!("{failed:?} {failed}"),
        format!(
            "{channel:?} {} {:?}",
            channel.snapshot(),
            channel.snapshot()
        ),
    ];
    agent.set_fault(None);
    agent.register(instance("127.0.0.1:1").tag("a"));
    until_they_are(&channel, &["127.0.0.1:1"]).await;
    // All levels of this crate's events.
    assert!(ear.count("could not be resolved") > 0, "{}", ear.text());
    texts.push(ear.text());
    for text in &texts {
        assert!(!text.contains(TOKEN), "{text}");
    }
    assert!(texts[0].contains("403"), "{}", texts[0]);
    let queries = agent.queries();
    let has_token = |it: &ConsulQuery| it.token.as_deref() == Some(TOKEN);
    assert!(queries.iter().all(has_token));
    assert!(queries.iter().all(|it| !it.path.contains(TOKEN)));
}

// CONTRACT N1, N7
#[tokio::test]
async fn a_token_that_can_t_be_used_is_a_fault_that_does_not_show_it() {
    for (target, token, words) in [
        ("dns:///orders:1", Some(TOKEN), "no `consul` target"),
        ("multi:///a:1,b:1", Some(TOKEN), "no `consul` target"),
        ("consul:///orders", Some("s3cret\n"), "value of a header"),
        ("consul:///orders", Some(""), "value of a header"),
        ("consul:///orders?token=s3cret", None, "`consul_token`"),
        ("consul://u:s3cret@a/orders", None, "has no user"),
        ("consull://a/orders?token=s3cret", None, "unknown scheme"),
    ] {
        let mut builder = Channel::builder(target);
        if let Some(token) = token {
            builder = builder.consul_token(token);
        }
        if target.contains("token") {
            assert!(!format!("{builder:?}").contains("s3cret"), "{builder:?}");
        }
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error}");
    }
    let _channel = Channel::builder("multi:///a:1,consul:///orders")
        .consul_token(TOKEN)
        .build()
        .unwrap();
}
