//! Endpoints that fail calls which others answer are left out (CONTRACT chapter O).

use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::pick::{LeastLoaded, Picker, RoundRobin};
use grpc_resilience::channel::{Builder, Channel, Ejection, EndpointSnapshot};
use grpc_resilience::error::Fault;
use http::Request;
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::body::Body;

use crate::common::log::Ear;
use crate::common::manner::{Manner, POISON};
use crate::common::names::Names;
use crate::common::net::{Host, Net};
use crate::common::*;

pub(crate) const S: Duration = Duration::from_secs(1);
pub(crate) const UNAVAILABLE: u16 = 14;
pub(crate) const INTERNAL: u16 = 13;

/// Servers of these manners, and a channel that is connected to all of them.
pub(crate) struct Cluster {
    pub(crate) channel: Channel,
    pub(crate) net: Net,
    pub(crate) names: Names,
    pub(crate) hosts: Vec<Host>,
}

pub(crate) async fn cluster(
    manners: &[Manner],
    configure: impl FnOnce(Builder) -> Builder,
) -> Cluster {
    let net = Net::default();
    let all: Vec<_> = (0..manners.len()).map(name).collect();
    let serve = |(name, manner): (&String, &Manner)| net.serve_as(name, manner);
    let hosts = all.iter().zip(manners).map(serve).collect();
    let (names, builder) = Names::new(&net, &all);
    let channel = configure(builder).build().unwrap();
    until_ready(&channel, manners.len()).await;
    // All have their whole weight.
    tokio::time::sleep(3 * S).await;
    Cluster {
        channel,
        net,
        names,
        hosts,
    }
}

pub(crate) fn name(number: usize) -> String {
    format!("host-{number}")
}

pub(crate) fn picking(picker: impl Picker) -> impl FnOnce(Builder) -> Builder {
    |builder| builder.picker(picker)
}

/// One that a layer may repeat.
pub(crate) fn declared() -> Request<Body> {
    let mut request = request();
    request.call_options().idempotent();
    request
}

/// Callers that call for this long, whatever the answers are.
pub(crate) async fn called_for(
    channel: &Channel,
    callers: usize,
    time: Duration,
    request: impl Fn() -> Request<Body> + Copy + Send + 'static,
) {
    let end = Instant::now() + time;
    let mut set = JoinSet::new();
    for _ in 0..callers {
        let channel = channel.clone();
        set.spawn(async move {
            while Instant::now() < end {
                let answer = send(&channel, request()).await;
                if let Ok(answer) = answer {
                    let _ = answer.into_body().collect().await;
                }
            }
        });
    }
    set.join_all().await;
}

/// One call after another for this long, at this number of calls per second.
pub(crate) async fn called_at(
    channel: &Channel,
    rate: u32,
    time: Duration,
    request: impl Fn(u32) -> Request<Body>,
) {
    let start = Instant::now();
    let mut calls = JoinSet::new();
    let mut number = 0;
    while start.elapsed() < time {
        let (channel, request) = (channel.clone(), request(number));
        calls.spawn(async move {
            if let Ok(answer) = send(&channel, request).await {
                let _ = answer.into_body().collect().await;
            }
        });
        number += 1;
        tokio::time::sleep_until(start + S * number / rate).await;
    }
    calls.join_all().await;
}

pub(crate) fn endpoint(channel: &Channel, number: usize) -> EndpointSnapshot {
    let name = format!("unix:{}", name(number));
    let mut endpoints = channel.snapshot().endpoints.into_iter();
    endpoints.find(|it| it.name == name).unwrap()
}

/// The numbers of the endpoints that are ejected.
pub(crate) fn ejected(channel: &Channel) -> Vec<usize> {
    let endpoints = channel.snapshot().endpoints.into_iter();
    let ejected = endpoints.filter(|it| it.ejected_for.is_some());
    let number = |it: EndpointSnapshot| it.name.trim_start_matches("unix:host-").parse().unwrap();
    ejected.map(number).collect()
}

fn four() -> [Manner; 4] {
    [5; 4].map(Manner::taking)
}

// CONTRACT O1, O2, O3; issue 23: at most 5 + callers calls reach it, then one per ejection time
#[tokio::test(start_paused = true)]
async fn a_server_that_fails_fast_gets_five_calls_and_then_one_per_ejection() {
    for callers in [1, 4, 16] {
        for is_in_turn in [true, false] {
            for is_late in [false, true] {
                let manners = four();
                let configure = |builder: Builder| {
                    if is_in_turn {
                        builder.picker(RoundRobin::new())
                    } else {
                        builder.picker(LeastLoaded::new())
                    }
                };
                let Cluster { channel, hosts, .. } = cluster(&manners, configure).await;
                let heard = Ear::new();
                if is_late {
                    called_for(&channel, callers, S, declared).await;
                }
                manners[0].take(1);
                manners[0].fail(100, UNAVAILABLE);
                let before = manners[0].calls();
                // A picker by load gives it few calls.
                let start = Instant::now();
                while ejected(&channel).is_empty() && start.elapsed() < 30 * S {
                    called_for(&channel, callers, 50 * MS, declared).await;
                }
                let reached = manners[0].calls() - before;
                let case = format!("{callers} callers, {is_in_turn}, {is_late}: {reached} calls");
                println!("{case}");
                assert_eq!(ejected(&channel), [0], "{case}");
                assert!(reached <= 5 + callers, "{case}");
                // One caller is enough to find what is to be probed.
                manners[1..].iter().for_each(|it| it.take(100));
                called_for(&channel, 1, 60 * S, declared).await;
                let calls_after = || manners[0].calls() - before - reached;
                if calls_after() < heard.count("to be probed") {
                    // Since the last call: the next one goes there.
                    called_for(&channel, 1, 150 * MS, declared).await;
                }
                let probes = heard.count("to be probed");
                assert_eq!(calls_after(), probes, "{case}");
                // After 1, 2, 4, 8, 16 and perhaps 32 s, 20 % more or less.
                assert!((5..=6).contains(&probes), "{case}: {probes} probes");
                assert_eq!(heard.count("stays ejected"), probes);
                assert_eq!(heard.count("is ejected"), 1);
                drop(hosts);
            }
        }
    }
}

// CONTRACT O2; issue 23: 30 % errors at 100 calls/s: out within 2 s
#[tokio::test(start_paused = true)]
async fn a_server_that_fails_three_calls_of_ten_is_out_within_two_seconds() {
    for code in [UNAVAILABLE, INTERNAL, 15, 503] {
        let manners = four();
        let Cluster { channel, hosts, .. } = cluster(&manners, picking(RoundRobin::new())).await;
        let heard = Ear::new();
        manners[0].fail(30, code);
        called_at(&channel, 400, 2 * S, |_| declared()).await;
        let text = heard.text();
        let by_rate = heard.count("reason=\"failure_percentage\"");
        assert_eq!(heard.count("is ejected"), by_rate, "{code}: {text}");
        assert!(by_rate >= 1, "{code}: {text}");
        drop(hosts);
    }
}

// CONTRACT O1, L8; issue 23
#[tokio::test(start_paused = true)]
async fn where_all_servers_fail_none_is_ejected() {
    for (percent, code) in [
        (100, UNAVAILABLE),
        (100, INTERNAL),
        (50, UNAVAILABLE),
        (30, INTERNAL),
    ] {
        // The rate of the last 10 s rises slowly after calls that went well.
        for is_late in [false, percent == 100] {
            let manners = four();
            let Cluster { channel, hosts, .. } =
                cluster(&manners, picking(RoundRobin::new())).await;
            let heard = Ear::new();
            if is_late {
                called_for(&channel, 4, S, declared).await;
            }
            for manner in &manners {
                manner.fail(percent, code);
            }
            called_for(&channel, 4, S, declared).await;
            let text = heard.text();
            assert_eq!(
                heard.count("is ejected"),
                0,
                "{percent} % of {code}: {text}"
            );
            assert_eq!(
                heard.count("so all are used"),
                1,
                "{percent} % of {code}: {text}"
            );
            assert!(text.contains("ready=4 ejected=0 failing=4"), "{text}");
            for manner in &manners {
                manner.fail(0, code);
                manner.take(100);
            }
            called_for(&channel, 1, 12 * S, declared).await;
            assert_eq!(heard.count("ejected any more"), 1, "{}", heard.text());
            drop(hosts);
        }
    }
}

// CONTRACT O2; issue 23
#[tokio::test(start_paused = true)]
async fn answers_of_the_application_eject_no_server() {
    for code in [5, 3, 7, 2, 4, 8, 1, 10] {
        let manners = four();
        let Cluster { channel, hosts, .. } = cluster(&manners, picking(RoundRobin::new())).await;
        manners[0].fail(100, code);
        called_for(&channel, 2, S, declared).await;
        let bad = endpoint(&channel, 0);
        assert_eq!(bad.consecutive_failures, 0, "code {code}");
        // Those that say nothing of it are not counted at all.
        let is_counted = !matches!(code, 8 | 1);
        assert_eq!(bad.failure_rate, is_counted.then_some(0.0), "code {code}");
        assert_eq!(ejected(&channel), [0; 0]);
        drop(hosts);
    }
}

// CONTRACT O1, O2; issue 23
#[tokio::test(start_paused = true)]
async fn a_poisonous_request_that_any_server_fails_ejects_none() {
    for one_in in [1, 4] {
        let manners = four();
        let Cluster { channel, hosts, .. } = cluster(&manners, picking(LeastLoaded::new())).await;
        called_at(&channel, 400, 3 * S, |number| {
            let mut request = declared();
            if number % one_in == 0 {
                let yes = http::HeaderValue::from_static("yes");
                request.headers_mut().insert(POISON, yes);
            }
            request
        })
        .await;
        let snapshot = channel.snapshot();
        assert!(endpoint(&channel, 0).failure_rate > Some(0.1), "{snapshot}");
        assert_eq!(ejected(&channel), [0; 0], "{snapshot}");
        drop(hosts);
    }
}

// CONTRACT O4
#[tokio::test(start_paused = true)]
async fn half_of_the_servers_stay_however_many_fail() {
    for (percent, most) in [(50, 2), (1, 1), (100, 3)] {
        let manners = four();
        let ejection = Ejection::new().max_ejection_percent(percent);
        let configure = |it: Builder| it.ejection(ejection).picker(RoundRobin::new());
        let Cluster { channel, hosts, .. } = cluster(&manners, configure).await;
        manners[..3].iter().for_each(|it| it.fail(100, UNAVAILABLE));
        called_for(&channel, 4, 500 * MS, declared).await;
        assert_eq!(ejected(&channel).len(), most, "{percent} %");
        assert!(!ejected(&channel).contains(&3));
        drop(hosts);
    }
}

// CONTRACT O4, L8
#[tokio::test(start_paused = true)]
async fn an_ejected_server_is_used_while_no_other_is_ready() {
    let manners = [5; 2].map(Manner::taking);
    let mut cluster = cluster(&manners, picking(RoundRobin::new())).await;
    let channel = &cluster.channel;
    let heard = Ear::new();
    manners[0].fail(100, UNAVAILABLE);
    called_for(channel, 1, 300 * MS, declared).await;
    assert_eq!(ejected(channel), [0]);
    manners[0].fail(0, UNAVAILABLE);
    cluster.net.refuse(&name(1));
    drop(cluster.hosts.pop());
    until_ready(channel, 1).await;
    for _ in 0..3 {
        assert_eq!(called(channel).await, "host-0");
    }
    let text = heard.text();
    assert!(
        text.contains("so all are used ready=1 ejected=1 failing=0"),
        "{text}"
    );
    cluster.hosts.push(cluster.net.serve(&name(1)));
    until_ready(channel, 2).await;
    assert_eq!(called(channel).await, "host-1", "{}", channel.snapshot());
    assert_eq!(heard.count("ejected any more"), 1);
}

// CONTRACT O5
#[tokio::test(start_paused = true)]
async fn an_address_that_is_announced_again_stays_ejected_and_a_removed_one_does_not() {
    let manners = [5; 3].map(Manner::taking);
    let Cluster {
        channel,
        names,
        hosts,
        ..
    } = cluster(&manners, picking(RoundRobin::new())).await;
    manners[0].fail(100, UNAVAILABLE);
    called_for(&channel, 1, 300 * MS, declared).await;
    names.set(&["host-2", "host-0", "host-1"]);
    others_have_run().await;
    assert_eq!(ejected(&channel), [0]);
    names.set(&["host-1", "host-2"]);
    until(|| channel.snapshot().endpoints.len() == 2).await;
    names.set(&["host-0", "host-1", "host-2"]);
    until_ready(&channel, 3).await;
    assert_eq!(ejected(&channel), [0; 0]);
    let again = endpoint(&channel, 0);
    assert_eq!((again.consecutive_failures, again.failure_rate), (0, None));
    drop(hosts);
}

// CONTRACT O1
#[tokio::test(start_paused = true)]
async fn without_ejection_no_server_is_left_out() {
    let manners = four();
    let configure = |it: Builder| it.no_ejection().picker(RoundRobin::new());
    let Cluster { channel, hosts, .. } = cluster(&manners, configure).await;
    manners[0].fail(100, UNAVAILABLE);
    called_for(&channel, 4, S, declared).await;
    assert_eq!(ejected(&channel), [0; 0]);
    assert_eq!(endpoint(&channel, 0).failure_rate, None);
    assert!(manners[0].calls() * 5 > manners[1].calls() * 4, "its share");
    drop(hosts);
}

// CONTRACT O2
#[tokio::test(start_paused = true)]
async fn each_rule_is_settable_and_can_be_off() {
    let off = Ejection::new().no_consecutive_failures();
    let many = Ejection::new().consecutive_failures(40);
    for (ejection, row, rate) in [
        (Ejection::new().consecutive_failures(2), 2, false),
        (many.no_failure_percentage(), 40, false),
        (off, 20, true),
        (off.request_volume(50).failure_percentage(70), 50, true),
    ] {
        let manners = [1; 4].map(Manner::taking);
        let configure = |it: Builder| it.ejection(ejection).picker(RoundRobin::new());
        let Cluster { channel, hosts, .. } = cluster(&manners, configure).await;
        let heard = Ear::new();
        manners[0].fail(100, UNAVAILABLE);
        called_for(&channel, 1, 800 * MS, declared).await;
        let text = heard.text();
        assert_eq!(heard.count("is ejected"), 1, "{text}");
        assert_eq!(text.contains("failure_percentage"), rate, "{text}");
        assert!((row..=row + 1).contains(&manners[0].calls()), "{text}");
        drop(hosts);
    }
}

#[tokio::test]
async fn all_faults_of_an_ejection_are_named_at_once() {
    let wrong = Ejection::new()
        .consecutive_failures(0)
        .request_volume(0)
        .failure_percentage(100)
        .max_ejection_percent(101)
        .base_ejection_time(Duration::ZERO);
    let setters = |ejection| {
        let builder = Channel::builder("unix:a").ejection(ejection);
        let invalid = builder.build().unwrap_err();
        let faults = invalid.faults().iter();
        faults.map(Fault::setter).collect::<Vec<_>>()
    };
    let expected = [
        "consecutive_failures",
        "request_volume",
        "failure_percentage",
        "max_ejection_percent",
        "base_ejection_time",
    ];
    assert_eq!(setters(wrong), expected);
    let none = Ejection::new()
        .no_consecutive_failures()
        .no_failure_percentage();
    assert_eq!(setters(none), ["ejection"]);
    let short = Ejection::new().max_ejection_time(900 * MS);
    assert_eq!(setters(short), ["max_ejection_time"]);
    assert_eq!(
        setters(Ejection::new().failure_percentage(0)),
        ["failure_percentage"]
    );
    assert_eq!(
        setters(Ejection::new().max_ejection_percent(0)),
        ["max_ejection_percent"]
    );
}
