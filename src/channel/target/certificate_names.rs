//! The names for which the servers of a target show certificates.

use std::future::poll_fn;

use super::*;
use crate::channel::resolve::{Resolution, ResolveSettings, Resolver as _};

async fn first(target: &Target, settings: &ResolveSettings) -> Resolution {
    let mut resolver = target.source.resolver(settings);
    poll_fn(|cx| resolver.poll_resolution(cx))
        .await
        .unwrap()
        .unwrap()
}

// CONTRACT N1
#[tokio::test(start_paused = true)]
async fn several_hosts_have_a_name_each_for_their_certificates() {
    let several = "multi:///ipv4:10.0.0.1,10.0.0.2,unix:/run/a.sock,[::1]:5";
    for (text, expected) in [
        (
            several,
            &[
                Some("10.0.0.1"),
                Some("10.0.0.2"),
                Some("localhost"),
                Some("::1"),
            ][..],
        ),
        ("ipv4:10.0.0.1:1,10.0.0.1:2", &[None, None]),
        ("unix:/run/a.sock", &[None]),
        // A name counts, though it is not looked up yet.
        (
            "multi:///dns:///orders,unix:/run/a.sock",
            &[Some("localhost")],
        ),
    ] {
        let target = parse(text, true).unwrap();
        let set = first(&target, &ResolveSettings::default()).await;
        let names: Vec<_> = set
            .addresses()
            .iter()
            .map(|it| it.server_name.as_deref())
            .collect();
        assert_eq!(names, expected, "{text}");
        // If the authority is set, it is the name of all.
        let settings = ResolveSettings {
            names_servers: false,
            ..ResolveSettings::default()
        };
        let set = first(&target, &settings).await;
        assert!(
            set.addresses().iter().all(|it| it.server_name.is_none()),
            "{text}"
        );
    }
}

// CONTRACT N1
#[tokio::test(start_paused = true)]
async fn a_dot_at_the_end_of_a_name_makes_no_other_name_for_certificates() {
    let target = parse("multi:///unix:/run/a.sock,dns:///localhost.", true).unwrap();
    let set = first(&target, &ResolveSettings::default()).await;
    assert!(set.addresses().iter().all(|it| it.server_name.is_none()));
}
