use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::Instant;

use super::eject::Ejecting;
use super::leaving::Leaving;
use super::member::{Change, Member};
use super::order::{interleaved, shuffled};
use super::pass::{Hands, Pass, Seen};
use super::tally::Tally;
use crate::channel::board::{Ready, Set};
use crate::channel::connectivity::Connectivity;
use crate::channel::health::Panic;
use crate::channel::pick::Connect;
use crate::channel::resolve::ResolvedAddress;
use crate::channel::shared::Shared;
use crate::channel::subchannel::Subchannel;
use crate::events;
use crate::kernel::rng;

/// All addresses of the target, and what is left of those that were removed.
pub(super) struct Members {
    shared: Arc<Shared>,
    /// In the order in which pickers see them.
    order: Vec<u64>,
    by_number: FxHashMap<u64, Member>,
    by_address: FxHashMap<ResolvedAddress, u64>,
    tally: Tally,
    panic: Panic,
    leaving: Leaving,
    next_number: u64,
    connect: Connect,
    /// Of a channel that connects to one address only.
    pass: Pass,
    /// `None` if no endpoint is ejected.
    ejecting: Option<Ejecting>,
}

/// What an update of the set changed.
#[derive(Debug, Default)]
pub(super) struct Diff {
    pub(super) added: Vec<Arc<str>>,
    pub(super) removed: Vec<Arc<str>>,
}

impl Diff {
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

impl Members {
    pub(super) fn new(shared: Arc<Shared>, connect: Connect) -> Self {
        let rules = shared.settings.ejection;
        Self {
            panic: Panic::new(shared.settings.panic_below),
            // Of a channel that connects to one address, this is the last ready one.
            ejecting: rules
                .filter(|_| connect == Connect::ToAll)
                .map(Ejecting::new),
            shared,
            order: Vec::new(),
            by_number: FxHashMap::default(),
            by_address: FxHashMap::default(),
            tally: Tally::default(),
            leaving: Leaving::default(),
            next_number: 0,
            connect,
            pass: Pass::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    fn is_to_first(&self) -> bool {
        matches!(self.connect, Connect::ToFirst { .. })
    }

    /// These are the addresses now. One that stays keeps its connections, its state and its load
    /// (CONTRACT N9); a removed one takes no call from now on (CONTRACT N10).
    pub(super) fn replace(&mut self, addresses: &[ResolvedAddress], now: Instant) -> Diff {
        let mut diff = Diff::default();
        let kept: FxHashSet<&ResolvedAddress> = addresses.iter().collect();
        let is_gone = |address: &ResolvedAddress| !kept.contains(address);
        let gone: Vec<_> = self.by_address.extract_if(|it, _| is_gone(it)).collect();
        for (address, number) in gone {
            diff.removed.extend(self.remove(address, number, now));
        }
        let ordered = match self.connect {
            Connect::ToAll => None,
            Connect::ToFirst { shuffle: false } => Some(interleaved(addresses)),
            Connect::ToFirst { shuffle: true } => {
                let below = |most: usize| (rng::bits() >> 33) as usize % most.max(1);
                Some(interleaved(&shuffled(addresses, below)))
            }
        };
        let mut order = Vec::with_capacity(addresses.len());
        for address in ordered.as_deref().unwrap_or(addresses) {
            let number = match self.by_address.get(address) {
                Some(number) => *number,
                None => self.add(address, &mut diff),
            };
            order.push(number);
        }
        self.order.clone_from(&order);
        self.suspect();
        if self.is_to_first() {
            self.pass.replace(order);
        }
        diff
    }

    fn add(&mut self, address: &ResolvedAddress, diff: &mut Diff) -> u64 {
        let left = self.leaving.take(address);
        if let Some(left) = &left {
            left.revive();
            // A removed endpoint loses its ejection (CONTRACT O5).
            if let Some(tally) = left.endpoint.load().tally() {
                tally.clear();
            }
        }
        let subchannel = left.unwrap_or_else(|| {
            self.next_number += 1;
            let (number, shared) = (self.next_number, Arc::clone(&self.shared));
            Subchannel::new(number, address.clone(), self.is_to_first(), shared)
        });
        let number = subchannel.number;
        diff.added.push(Arc::clone(subchannel.name()));
        self.by_address.insert(address.clone(), number);
        if !self.is_to_first() {
            // Warm from the beginning.
            subchannel.demand();
        }
        subchannel.ignore_health(self.panic.is_on());
        let member = Member::new(subchannel);
        self.tally.add(member.seen.state, member.seen.is_connected);
        self.by_number.insert(number, member);
        number
    }

    fn remove(&mut self, address: ResolvedAddress, number: u64, now: Instant) -> Option<Arc<str>> {
        let member = self.by_number.remove(&number)?;
        self.tally
            .remove(member.seen.state, member.seen.is_connected);
        if let Some(ejecting) = &mut self.ejecting {
            ejecting.forget(number);
        }
        member.subchannel.shut();
        let name = Arc::clone(member.subchannel.name());
        let drain_timeout = self.shared.settings.drain_timeout;
        self.leaving
            .add(member.subchannel, address, drain_timeout, now);
        Some(name)
    }

    /// Looks at an endpoint that has changed.
    pub(super) fn changed(&mut self, number: u64, now: Instant) -> Option<Change> {
        if let Some(member) = self.by_number.get_mut(&number) {
            self.tally
                .remove(member.seen.state, member.seen.is_connected);
            let change = member.look();
            self.tally.add(member.seen.state, member.seen.is_connected);
            if change.is_listed
                && let Some(ejecting) = &mut self.ejecting
            {
                ejecting.changed();
            }
            return Some(change);
        }
        self.leaving.changed(number, now).then(|| Change {
            has_left: true,
            ..Change::default()
        })
    }

    /// A call found an idle endpoint.
    pub(super) fn want(&mut self) {
        self.pass.want();
        if self.is_to_first() {
            return;
        }
        // One that is not idle ignores it.
        for member in self.by_number.values() {
            member.subchannel.demand();
        }
    }

    /// Connects to the first address, if the channel connects to one of them.
    pub(super) fn connect(&mut self, now: Instant) -> Option<Instant> {
        if !self.is_to_first() {
            return None;
        }
        let mut hands = ByNumber {
            members: &self.by_number,
            now,
        };
        self.pass.step(now, &mut hands)
    }

    /// Does what is due of removed endpoints; whether less is left of them, and when to come back.
    pub(super) fn pass(&mut self, now: Instant) -> (bool, Option<Instant>) {
        self.leaving.pass(now)
    }

    /// An endpoint may have failed too much, or there are others now.
    pub(super) fn suspect(&mut self) {
        if let Some(ejecting) = &mut self.ejecting {
            ejecting.suspect();
        }
    }

    /// Ejects what fails, and takes back what does not; whether it did so, and when to come back.
    pub(super) fn eject(&mut self, now: Instant) -> (bool, Option<Instant>) {
        let Some(ejecting) = &mut self.ejecting else {
            return (false, None);
        };
        let is_health_ignored = self.panic.is_on();
        let is_moved = ejecting.pass(&self.by_number, is_health_ignored, now, &self.shared);
        (is_moved, ejecting.due())
    }

    /// The state of the channel.
    pub(super) fn state(&self) -> Connectivity {
        if self.is_to_first() {
            self.pass.state()
        } else if self.panic.is_on() {
            // Some endpoint is connected, and takes calls.
            Connectivity::Ready
        } else {
            self.tally.state()
        }
    }

    /// Whether an endpoint waits for a call to connect.
    pub(super) fn is_idle(&self) -> bool {
        if self.is_to_first() {
            self.pass.state() == Connectivity::Idle
        } else {
            self.tally.has(Connectivity::Idle)
        }
    }

    pub(super) fn set(&self) -> Set {
        Set::new(self.subchannels(|_, _| true).cloned().collect())
    }

    pub(super) fn draining(&self) -> Arc<[Arc<Subchannel>]> {
        self.leaving.all()
    }

    /// The address that is used, of a channel that connects to one of them.
    pub(super) fn used(&self) -> Option<u64> {
        self.pass.used()
    }

    /// Those that calls may pick.
    pub(super) fn ready(&self) -> Ready {
        let is_ready = |number: u64, member: &Member| {
            let is_used = !self.is_to_first() || self.pass.used() == Some(number);
            is_used && member.is_ready(self.panic.is_on())
        };
        let is_let_in = |number| match &self.ejecting {
            Some(ejecting) => ejecting.lets_in(number),
            None => true,
        };
        let is_listed = |number, member: &Member| is_ready(number, member) && is_let_in(number);
        let subchannels: Arc<[Arc<Subchannel>]> = self.subchannels(is_listed).cloned().collect();
        let endpoints = subchannels.iter().map(|it| Arc::clone(&it.endpoint));
        let probed = self.ejecting.iter().flat_map(|it| {
            let is_probed = |number, member: &Member| is_ready(number, member) && it.probes(number);
            self.subchannels(is_probed).cloned()
        });
        Ready {
            endpoints: endpoints.collect(),
            probed: probed.collect(),
            subchannels: Arc::clone(&subchannels),
        }
    }

    fn subchannels(
        &self,
        is_wanted: impl Fn(u64, &Member) -> bool,
    ) -> impl Iterator<Item = &Arc<Subchannel>> {
        let members = self.order.iter().filter_map(|number| {
            let member = self.by_number.get(number)?;
            Some((*number, member))
        });
        let wanted = members.filter(move |(number, member)| is_wanted(*number, member));
        wanted.map(|(_, member)| &member.subchannel)
    }

    /// Whether too few endpoints are healthy began or ended just now (CONTRACT L8); then all are
    /// told so.
    pub(super) fn look_at_health(&mut self, target: &str) -> bool {
        let (healthy, connected) = self.tally.health();
        let Some(below) = self.panic.look(healthy, connected) else {
            return false;
        };
        let is_on = self.panic.is_on();
        events::health_ignored(target, healthy, connected, below, is_on);
        for member in self.by_number.values() {
            member.subchannel.ignore_health(is_on);
        }
        // Others take calls from now on, and where those are all ejected, none may be.
        self.suspect();
        true
    }

    pub(super) fn is_health_ignored(&self) -> bool {
        self.panic.is_on()
    }

    /// The channel is closed.
    pub(super) fn shut(&mut self) {
        for member in self.by_number.values() {
            member.subchannel.shut();
        }
    }
}

/// What a pass sees and does.
struct ByNumber<'a> {
    members: &'a FxHashMap<u64, Member>,
    now: Instant,
}

impl Hands for ByNumber<'_> {
    fn seen(&self, number: u64) -> Seen {
        let view = self.members.get(&number).map(|it| it.subchannel.view());
        let is_ready = |view: &crate::channel::view::View| view.state == Connectivity::Ready;
        Seen {
            is_ready: view.as_ref().is_some_and(is_ready),
            is_dialling: view.as_ref().is_some_and(|it| it.is_dialling),
            is_connected: view.as_ref().is_some_and(|it| it.is_connected),
            is_at_rest: view.as_ref().is_some_and(|it| it.is_at_rest),
        }
    }

    fn dial(&mut self, number: u64) -> Instant {
        let member = self.members.get(&number);
        let begins = member.and_then(|it| it.subchannel.demand());
        begins.unwrap_or(self.now)
    }

    fn stand_by(&mut self, number: u64) {
        if let Some(member) = self.members.get(&number) {
            member.subchannel.stand_by();
        }
    }
}
