//! What was promised of the costs, and whether it is kept.

use benches::document::short;
use benches::subjects::Group;

use crate::measured::Measured;

/// At most so much, or less than so much, of one thing.
struct Promise {
    what: String,
    limit: f64,
    is_below: bool,
    found: f64,
}

impl Promise {
    fn at_most(what: impl Into<String>, limit: f64, found: f64) -> Self {
        Self {
            what: what.into(),
            limit,
            is_below: false,
            found,
        }
    }

    fn below(what: impl Into<String>, limit: f64, found: f64) -> Self {
        Self {
            is_below: true,
            ..Self::at_most(what, limit, found)
        }
    }

    fn is_kept(&self) -> bool {
        // Two counts of the same code differ by this much.
        let found = self.found.round();
        found < self.limit || !self.is_below && found <= self.limit
    }

    fn row(&self) -> [String; 4] {
        let word = if self.is_below { "under" } else { "at most" };
        let kept = if self.is_kept() { "kept" } else { "BROKEN" };
        let limit = format!("{word} {}", short(self.limit));
        [self.what.clone(), limit, short(self.found), kept.into()]
    }
}

pub(crate) const HEADER: [&str; 4] = ["promised, on top of bare", "limit", "found", ""];

/// The promises, by what was measured of a service that answers later: the harder case.
pub(crate) fn rows(measured: &[Measured]) -> Vec<[String; 4]> {
    let named = |name| measured.iter().find(|one| one.name == name);
    let mut promises = Vec::new();
    // All five layers, as one and by a `ServiceBuilder`.
    for all in ["Resilience", "all five"].into_iter().filter_map(named) {
        promises.extend(of_all_five(all));
        if let Some(peer) = named("tower::retry") {
            promises.extend(against(all, peer, "tower::retry", 1.0));
        }
        if let Some(peer) = named("tower-resilience, its four layers") {
            promises.extend(against(all, peer, "half of tower-resilience", 0.5));
        }
    }
    if let Some(four) = named("four, without retry") {
        let what = "four, without retry: allocations";
        promises.push(Promise::at_most(what, 4.0, four.allocations));
    }
    let idle = measured.iter().filter(|one| one.group == Group::Idle);
    for one in idle.filter(|one| !one.name.starts_with("all")) {
        let what = |kind| format!("{}: {kind}", one.name);
        promises.push(Promise::at_most(
            what("instructions"),
            100.0,
            one.instructions,
        ));
        promises.push(Promise::at_most(what("allocations"), 0.0, one.allocations));
    }
    promises.iter().map(Promise::row).collect()
}

fn of_all_five(all: &Measured) -> [Promise; 3] {
    let what = |kind| format!("{}: {kind}", all.name);
    [
        Promise::at_most(what("instructions"), 3_500.0, all.instructions),
        Promise::at_most(what("allocations"), 10.0, all.allocations),
        Promise::at_most(what("bytes of future"), 1_536.0, all.future),
    ]
}

fn against(all: &Measured, peer: &Measured, name: &str, part: f64) -> [Promise; 2] {
    let what = |kind| format!("{}: {kind}, {name}", all.name);
    let make = if part < 1.0 {
        Promise::at_most
    } else {
        Promise::below
    };
    [
        make(
            what("instructions"),
            peer.instructions * part,
            all.instructions,
        ),
        make(
            what("allocations"),
            peer.allocations * part,
            all.allocations,
        ),
    ]
}
