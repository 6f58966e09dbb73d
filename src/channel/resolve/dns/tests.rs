use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use testing::{DnsAnswer, DnsServer, Family, Transport};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::channel::resolve::{Resolution, ResolveError, ResolveSettings, Resolver};
use crate::channel::target;

const ORDERS: &str = "orders.test";

/// What the target `dns://server/orders.test:50051` makes, with a TTL of at least 1 s.
fn resolver(dns: &DnsServer) -> Box<dyn Resolver> {
    let text = format!("dns://{}/{ORDERS}:50051", dns.address());
    let settings = ResolveSettings {
        min_ttl: Duration::from_secs(1),
        ..ResolveSettings::default()
    };
    target::parse(&text, false)
        .unwrap()
        .source
        .resolver(&settings)
}

async fn next(resolver: &mut Box<dyn Resolver>) -> Result<Resolution, ResolveError> {
    std::future::poll_fn(|cx| resolver.poll_resolution(cx))
        .await
        .unwrap()
}

fn texts(resolution: &Resolution) -> Vec<String> {
    let addresses = resolution.addresses().iter();
    addresses.map(|it| it.address.to_string()).collect()
}

fn v4(count: u8) -> impl Iterator<Item = [u8; 4]> {
    (1..=count).map(|host| [10, 0, 0, host])
}

fn addresses(ttl: u32, ips: &[&str]) -> DnsAnswer {
    DnsAnswer::addresses(ttl, ips.iter().map(|ip| ip.parse::<IpAddr>().unwrap()))
}

/// Until the runtime has no other tasks than before.
async fn tasks_are(count: usize) {
    let are = async {
        while Handle::current().metrics().num_alive_tasks() > count {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), are)
        .await
        .expect("a task is left");
}

// CONTRACT N6
#[tokio::test]
async fn a_and_aaaa_records_are_asked_for_together() {
    let dns = DnsServer::start().await.unwrap();
    dns.set(ORDERS, addresses(60, &["10.0.0.1", "fd00::1", "10.0.0.2"]));
    let set = next(&mut resolver(&dns)).await.unwrap();
    assert_eq!(
        texts(&set),
        ["[fd00::1]:50051", "10.0.0.1:50051", "10.0.0.2:50051"]
    );
    let mut families: Vec<_> = dns.queries().iter().map(|it| it.family).collect();
    families.sort_by_key(|family| *family == Family::V6);
    assert_eq!(families, [Family::V4, Family::V6]);
}

// CONTRACT N6
#[tokio::test]
async fn new_addresses_are_seen_within_the_ttl() {
    let dns = DnsServer::start().await.unwrap();
    dns.set(ORDERS, DnsAnswer::addresses(1, v4(1)));
    let mut resolver = resolver(&dns);
    assert_eq!(next(&mut resolver).await.unwrap().addresses().len(), 1);
    let start = Instant::now();
    dns.set(ORDERS, DnsAnswer::addresses(1, v4(10)));
    let set = next(&mut resolver).await.unwrap();
    assert_eq!(set.addresses().len(), 10);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(850), "{took:?}");
    // TTL + 1 s on a machine with nothing else to do; the default of 5 s for the TTL would be seen.
    assert!(took <= Duration::from_secs(4), "{took:?}");
}

// CONTRACT N6
#[tokio::test]
async fn the_ttl_of_an_alias_counts_too() {
    let dns = DnsServer::start().await.unwrap();
    let name = "v1.orders.test".to_owned();
    dns.set(
        ORDERS,
        DnsAnswer::Alias {
            ttl: 1,
            name: name.clone(),
        },
    );
    dns.set(&name, DnsAnswer::addresses(60, v4(1)));
    let mut resolver = resolver(&dns);
    assert_eq!(
        texts(&next(&mut resolver).await.unwrap()),
        ["10.0.0.1:50051"]
    );
    let again = timeout(Duration::from_secs(10), next(&mut resolver)).await;
    assert!(again.unwrap().is_ok());
}

// CONTRACT N5
#[tokio::test]
async fn a_wish_asks_the_server_at_once_and_not_a_cache() {
    let dns = DnsServer::start().await.unwrap();
    dns.set(ORDERS, DnsAnswer::addresses(300, v4(1)));
    let mut resolver = resolver(&dns);
    next(&mut resolver).await.unwrap();
    dns.set(ORDERS, DnsAnswer::addresses(300, v4(2)));
    resolver.resolve_again();
    let set = timeout(Duration::from_secs(10), next(&mut resolver))
        .await
        .unwrap();
    assert_eq!(set.unwrap().addresses().len(), 2);
}

// CONTRACT N6
#[tokio::test]
async fn an_answer_of_500_records_comes_over_tcp() {
    let dns = DnsServer::start().await.unwrap();
    let ips = (0..500_u32).map(|host| Ipv4Addr::from_bits(0x0a01_0000 + host));
    dns.set(ORDERS, DnsAnswer::addresses(60, ips));
    let set = next(&mut resolver(&dns)).await.unwrap();
    assert_eq!(set.addresses().len(), 500);
    let over = |transport| {
        dns.queries()
            .iter()
            .filter(|it| it.transport == transport)
            .count()
    };
    assert_eq!((over(Transport::Udp), over(Transport::Tcp)), (2, 1));
}

// CONTRACT N2
#[tokio::test]
async fn that_a_name_does_not_exist_or_has_no_address_is_authoritative() {
    let dns = DnsServer::start().await.unwrap();
    let error = next(&mut resolver(&dns)).await.unwrap_err();
    assert!(error.is_authoritative());
    let text = "orders.test has no address: the DNS server knows no such name (NXDOMAIN)";
    assert_eq!(error.to_string(), text);

    dns.set(ORDERS, addresses(60, &[]));
    let error = next(&mut resolver(&dns)).await.unwrap_err();
    assert!(error.is_authoritative());
    let text = "orders.test has no address: the DNS server has no A and no AAAA record for it";
    assert_eq!(error.to_string(), text);
}

// CONTRACT N2
#[tokio::test]
async fn a_server_that_fails_or_refuses_is_not_authoritative() {
    let dns = DnsServer::start().await.unwrap();
    for (answer, code) in [
        (DnsAnswer::ServFail, "SERVFAIL"),
        (DnsAnswer::Refused, "REFUSED"),
    ] {
        dns.set_outage(Some(answer));
        let error = next(&mut resolver(&dns)).await.unwrap_err();
        assert!(!error.is_authoritative());
        let text = format!("orders.test was not resolved: the DNS server answers {code}");
        assert_eq!(error.to_string(), text);
    }
}

// CONTRACT N2
#[tokio::test]
async fn one_family_that_fails_keeps_its_last_addresses() {
    let dns = DnsServer::start().await.unwrap();
    dns.set(ORDERS, addresses(1, &["10.0.0.1", "fd00::1"]));
    let mut resolver = resolver(&dns);
    assert_eq!(next(&mut resolver).await.unwrap().addresses().len(), 2);
    dns.set_family(ORDERS, Family::V6, DnsAnswer::ServFail);
    dns.set(ORDERS, addresses(1, &["10.0.0.2"]));
    resolver.resolve_again();
    let set = next(&mut resolver).await.unwrap();
    assert_eq!(texts(&set), ["[fd00::1]:50051", "10.0.0.2:50051"]);
}

// CONTRACT N6
#[tokio::test]
async fn after_a_failure_the_answer_is_there_a_second_later() {
    let dns = DnsServer::start().await.unwrap();
    dns.set(ORDERS, DnsAnswer::addresses(60, v4(3)));
    dns.set_outage(Some(DnsAnswer::ServFail));
    let mut resolver = resolver(&dns);
    next(&mut resolver).await.unwrap_err();
    let start = Instant::now();
    dns.set_outage(None);
    assert_eq!(next(&mut resolver).await.unwrap().addresses().len(), 3);
    let took = start.elapsed().as_millis();
    assert!((750..=5_000).contains(&took), "{took} ms");
}

// CONTRACT N2
#[tokio::test(start_paused = true)]
async fn a_search_list_goes_on_where_a_name_is_unknown_and_ends_where_no_server_is_heard() {
    let dns = DnsServer::start().await.unwrap();
    dns.set("found", DnsAnswer::addresses(60, v4(1)));
    dns.set("fails", DnsAnswer::ServFail);
    dns.set("silent", DnsAnswer::Silence);
    let (resolver, _) = super::hickory(ORDERS, Some(dns.address())).unwrap();
    for (names, expected) in [
        (&["none", "found", "fails"][..], "1 address"),
        (&["fails", "found"], "1 address"),
        (
            &["none", "fails", "none"],
            "a was not resolved: the DNS server answers SERVFAIL",
        ),
        (
            &["none", "none"],
            "a has no address: the DNS server knows no such name (NXDOMAIN)",
        ),
        // An address of the next name would be another service's.
        (
            &["silent", "found"],
            "a was not resolved: the DNS server does not answer",
        ),
    ] {
        let names = names.iter().map(|name| format!("{name}.").parse().unwrap());
        let answers = super::ask_each(&resolver, names.collect()).await;
        let text = match super::Memory::default().read("a", answers) {
            Ok((ips, _)) => format!("{} address", ips.len()),
            Err(error) => error.to_string(),
        };
        assert_eq!(text, expected);
    }
}

// On a paused clock, because nothing is on its way but what the server does not answer.
#[tokio::test(start_paused = true)]
async fn a_silent_server_is_an_error_that_is_not_authoritative() {
    let dns = DnsServer::start().await.unwrap();
    dns.set_outage(Some(DnsAnswer::Silence));
    let mut resolver = resolver(&dns);
    let start = Instant::now();
    let error = next(&mut resolver).await.unwrap_err();
    assert!(!error.is_authoritative());
    let text = error.to_string();
    assert!(text.starts_with("orders.test was not resolved: "), "{text}");
    assert!(
        start.elapsed() <= Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_closed_port_is_an_error_that_is_not_authoritative() {
    let dns = DnsServer::start().await.unwrap();
    let mut resolver = resolver(&dns);
    drop(dns);
    let error = timeout(Duration::from_secs(11), next(&mut resolver))
        .await
        .unwrap();
    assert!(!error.unwrap_err().is_authoritative());
}

#[tokio::test]
async fn between_two_questions_no_task_is_left() {
    let dns = DnsServer::start().await.unwrap();
    let ips = (0..250).map(|host| [10, 1, 0, host]);
    dns.set(ORDERS, DnsAnswer::addresses(60, ips));
    let before = Handle::current().metrics().num_alive_tasks();
    let mut resolver = resolver(&dns);
    // Over UDP and TCP; the server's task for the connection ends with it.
    next(&mut resolver).await.unwrap();
    tasks_are(before).await;
}

#[tokio::test]
async fn dropping_the_resolver_ends_the_question() {
    let dns = DnsServer::start().await.unwrap();
    dns.set_outage(Some(DnsAnswer::Silence));
    let before = Handle::current().metrics().num_alive_tasks();
    let mut resolver = resolver(&dns);
    let asked = async {
        tokio::select! {
            _ = next(&mut resolver) => panic!("an answer"),
            () = async {
                while dns.queries().len() < 2 {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
    };
    timeout(Duration::from_secs(5), asked).await.unwrap();
    drop(resolver);
    tasks_are(before).await;
}

// The system's configuration; `localhost` is never asked of a server.
#[tokio::test]
async fn without_a_server_the_system_s_configuration_is_used() {
    let target = target::parse("dns:///localhost:50051", false).unwrap();
    let mut resolver = target.source.resolver(&ResolveSettings::default());
    match next(&mut resolver).await {
        Ok(set) => assert!(texts(&set).contains(&"127.0.0.1:50051".to_owned())),
        // There is none here.
        Err(error) => assert!(!error.is_authoritative(), "{error}"),
    }
}
