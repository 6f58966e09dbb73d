//! A channel to a name of a real DNS server (CONTRACT N2, N6), with servers in memory.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use grpc_resilience::channel::{Builder, Channel};
use grpc_resilience::classify::Endpoint;
use testing::{DnsAnswer, DnsServer, Transport};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::common::log::Ear;
use crate::common::manner::Manner;
use crate::common::net::{Host, Net};
use crate::common::*;

const S: Duration = Duration::from_secs(1);
const NAME: &str = "orders.test";

/// Servers of which the name has some.
struct Cluster {
    dns: DnsServer,
    net: Net,
    hosts: Vec<Host>,
}

impl Cluster {
    /// This number of servers; no name leads to them yet.
    async fn of(count: u32, manner: &Manner) -> Self {
        let net = Net::default();
        let hosts = (0..count).map(|number| net.serve_as(&server(number), manner));
        Self {
            dns: DnsServer::start().await.unwrap(),
            hosts: hosts.collect(),
            net,
        }
    }

    /// The name has the first servers from now on.
    fn name(&self, ttl: u32, count: u32) {
        self.dns
            .set(NAME, DnsAnswer::addresses(ttl, (0..count).map(ip)));
    }

    /// A channel to the name; absolute, so that no search list comes into it.
    fn builder(&self) -> Builder {
        let target = format!("dns://{}/{NAME}.:50051", self.dns.address());
        Channel::builder(target).connector(self.net.clone())
    }

    /// When the name was asked for, each time once.
    fn asked(&self) -> Vec<Instant> {
        let queries = self.dns.queries();
        let v4 = queries
            .iter()
            .filter(|it| it.family == testing::Family::V4 && it.transport == Transport::Udp);
        v4.map(|it| it.at).collect()
    }
}

fn ip(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 + number)
}

fn server(number: u32) -> String {
    format!("{}:50051", ip(number))
}

/// Callers that call for this long. Of each call, when it began, and who answered; no call fails.
async fn called_for(channel: &Channel, callers: u32, time: Duration) -> Vec<(Instant, String)> {
    let end = Instant::now() + time;
    let mut set = JoinSet::new();
    for _ in 0..callers {
        let channel = channel.clone();
        set.spawn(async move {
            let mut calls = Vec::new();
            while Instant::now() < end {
                let begins = Instant::now();
                let answer = call(&channel).await;
                let endpoint = answer.as_ref().unwrap().extensions().get::<Endpoint>();
                let name = endpoint.unwrap().name().to_owned();
                assert_eq!(status(answer).await, 0);
                calls.push((begins, name));
            }
            calls
        });
    }
    set.join_all().await.into_iter().flatten().collect()
}

/// A call every 500 ms until then; none fails.
async fn succeed_until(channel: &Channel, end: Instant) {
    while Instant::now() < end {
        succeeds(channel).await;
        sleep(500 * MS).await;
    }
}

// CONTRACT N6, L3; issue 22: scale from 1 to 10 addresses with a TTL of 5 s
#[tokio::test(start_paused = true)]
async fn new_servers_of_a_name_carry_90_percent_of_their_share_within_ttl_and_1_s() {
    let cluster = Cluster::of(10, &Manner::taking(5)).await;
    cluster.name(5, 1);
    let channel = connected(cluster.builder()).await;
    // Just after a lookup, so that nearly the whole TTL is to pass.
    let start = Instant::now();
    cluster.name(5, 10);
    let calls = called_for(&channel, 16, 7 * S).await;
    let share = |from: Duration, to: Duration| {
        let within = calls
            .iter()
            .filter(|(at, _)| (from..to).contains(&(*at - start)));
        let (new, all) = within.fold((0, 0), |(new, all), (_, name)| {
            (new + u32::from(*name != server(0)), all + 1)
        });
        f64::from(new) / f64::from(all)
    };
    let asked = cluster.asked();
    let gap = asked[1] - asked[0];
    assert!((4_400..=5_100).contains(&gap.as_millis()), "{gap:?}");
    assert!(share(Duration::ZERO, 4 * S) < f64::EPSILON);
    let by_then = share(6 * S, 6 * S + 250 * MS);
    println!("{by_then:.3} of the calls, {} calls", calls.len());
    // Nine of ten servers are due 90 % of the calls.
    assert!(by_then >= 0.9 * 0.9, "{by_then}");
    let names: BTreeSet<_> = calls.iter().map(|(_, name)| name).collect();
    assert_eq!(names.len(), 10);
}

// CONTRACT N6; issue 22: 500 A records over TCP
#[tokio::test]
async fn a_channel_connects_to_all_500_addresses_of_a_truncated_answer() {
    let cluster = Cluster::of(500, &Manner::default()).await;
    cluster.name(60, 500);
    let channel = cluster.builder().build().unwrap();
    until_ready(&channel, 500).await;
    let queries = cluster.dns.queries();
    assert!(queries.iter().any(|it| it.transport == Transport::Tcp));
    let names: BTreeSet<_> = called_times(&channel, 1_000).await.into_iter().collect();
    assert!(names.len() > 300, "{}", names.len());
}

// CONTRACT N2, N6; issue 22: DNS down for 10 minutes
#[tokio::test(start_paused = true)]
async fn a_dns_server_that_is_down_for_10_minutes_fails_no_call() {
    // A question without an answer is repeated some nine times, and after an error three times.
    for (outage, most) in [(DnsAnswer::Silence, 200), (DnsAnswer::ServFail, 70)] {
        let ear = Ear::new();
        let mut cluster = Cluster::of(3, &Manner::default()).await;
        cluster.name(5, 2);
        let channel = cluster.builder().build().unwrap();
        until_ready(&channel, 2).await;
        let before = cluster.asked().len();
        cluster.dns.set_outage(Some(outage));
        let start = Instant::now();
        succeed_until(&channel, start + 300 * S).await;
        // A server that is started anew meanwhile is connected by its last address.
        drop(cluster.hosts.remove(0));
        others_have_run().await;
        succeed_until(&channel, start + 310 * S).await;
        let again = cluster.net.serve(&server(0));
        succeed_until(&channel, start + 600 * S).await;
        until_ready(&channel, 2).await;
        let text = ear.text();
        let warned = text.lines().filter(|line| line.contains("WARN"));
        let warned = warned.filter(|line| line.contains("resolve")).count();
        assert_eq!(warned, 1, "{text}");
        let asked = cluster.asked().len() - before;
        assert!((8..=most).contains(&asked), "{asked} questions");
        println!("{asked} questions");
        // Back, with one more server: it is seen after the longest backoff.
        cluster.dns.set_outage(None);
        cluster.name(5, 3);
        succeed_until(&channel, Instant::now() + 150 * S).await;
        until_ready(&channel, 3).await;
        drop(again);
    }
}

// CONTRACT N2, N6; issue 22: NXDOMAIN for 50 s
#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_exist_for_50_s_fails_no_call() {
    // At each phase of the lookups, and with other jitter.
    for phase in 0..8 {
        let cluster = Cluster::of(1, &Manner::default()).await;
        cluster.name(5, 1);
        let channel = connected(cluster.builder()).await;
        sleep(phase * 600 * MS).await;
        let start = Instant::now();
        cluster.dns.set(NAME, DnsAnswer::NoName);
        succeed_until(&channel, start + 50 * S).await;
        cluster.name(5, 1);
        succeed_until(&channel, start + 120 * S).await;
    }
}

// CONTRACT N2
#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_exist_any_more_fails_calls_after_60_s() {
    let cluster = Cluster::of(1, &Manner::default()).await;
    cluster.name(5, 1);
    let channel = connected(cluster.builder()).await;
    cluster.dns.set(NAME, DnsAnswer::NoName);
    let start = Instant::now();
    succeed_until(&channel, start + 60 * S).await;
    sleep_until(start + 66 * S).await;
    let error = call(&channel).await.unwrap_err();
    assert!(error.message().contains("NXDOMAIN"), "{error:?}");
}
