use hickory_resolver::config::ResolverConfig;
use hickory_resolver::proto::rr::Name;

/// The names to ask for, in their order, as `resolv.conf(5)` has it: a name with at least `ndots`
/// dots is asked for as it is first, another one last; a name with a dot at its end alone.
pub(super) fn names(name: Name, config: &ResolverConfig, ndots: usize) -> Vec<Name> {
    if name.is_fqdn() {
        return vec![name];
    }
    let dots = usize::from(name.num_labels()).saturating_sub(1);
    // The first of the search list is the domain, if both are set.
    let domains = config.search().iter().chain(config.domain());
    let found = domains.filter_map(|domain| name.clone().append_domain(domain).ok());
    let mut names: Vec<Name> = Vec::new();
    for found in found.map(absolute) {
        if !names.contains(&found) {
            names.push(found);
        }
    }
    let is_first = dots >= ndots || name.is_localhost();
    names.insert(if is_first { 0 } else { names.len() }, absolute(name));
    names
}

pub(super) fn absolute(mut name: Name) -> Name {
    name.set_fqdn(true);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    #[test]
    fn the_search_list_is_that_of_resolv_conf() {
        let search = ["prod.svc.cluster.local", "svc.cluster.local"].map(name);
        let mut config = ResolverConfig::default();
        for domain in search {
            config.add_search(domain);
        }
        for (host, ndots, expected) in [
            (
                "orders",
                1,
                &[
                    "orders.prod.svc.cluster.local.",
                    "orders.svc.cluster.local.",
                    "orders.",
                ][..],
            ),
            (
                "a.b",
                1,
                &[
                    "a.b.",
                    "a.b.prod.svc.cluster.local.",
                    "a.b.svc.cluster.local.",
                ],
            ),
            (
                "a.b",
                5,
                &[
                    "a.b.prod.svc.cluster.local.",
                    "a.b.svc.cluster.local.",
                    "a.b.",
                ],
            ),
            ("orders.", 5, &["orders."]),
            (
                "localhost",
                5,
                &[
                    "localhost.",
                    "localhost.prod.svc.cluster.local.",
                    "localhost.svc.cluster.local.",
                ],
            ),
        ] {
            let names = names(name(host), &config, ndots);
            let names: Vec<_> = names.iter().map(Name::to_ascii).collect();
            assert_eq!(names, expected, "{host} with ndots {ndots}");
        }
    }

    #[test]
    fn a_domain_that_is_in_the_search_list_too_counts_once() {
        let mut config = ResolverConfig::default();
        config.add_search(name("a"));
        config.set_domain(name("a"));
        assert_eq!(names(name("x"), &config, 1), [name("x.a."), name("x.")]);
    }
}
