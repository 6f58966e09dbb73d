//! How a call finds an endpoint, a connection and a slot.

use std::sync::Arc;

use http::Request;

use super::board::{Published, Ready as Listed};
use super::connection::Connection;
use super::connectivity::Connectivity;
use super::exchange::Slot;
use super::pick::{Call, Picker, Ready};
use super::subchannel::Subchannel;
use crate::call::{CallOptions, Earlier};
use crate::classify::Endpoint;

/// The number of calls on the first connection of an endpoint before the second one is used
/// (CONTRACT C8): with fewer, two connections cost more writes than they save time.
const FILL: u32 = 32;

/// How often the picker is asked for one call. Then all endpoints are looked at in turn.
const PICKS: usize = 4;

/// What a call finds.
#[derive(Debug)]
pub(super) enum Picked {
    Slot(Slot),
    /// Endpoints are ready, and none of them has a slot.
    Full,
    /// No endpoint allows a stream (CONTRACT C7).
    NoStreams,
    /// No endpoint is ready.
    NotReady(Connectivity),
}

/// What a call wants of its endpoint.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) head: &'a Request<()>,
    /// More slots have to be free: these are for calls before this one.
    pub(super) reserved: u32,
    /// Not where an attempt of the call failed, while others are ready (CONTRACT L2); first to the
    /// leader that a server has named (CONTRACT E6).
    pub(super) earlier: &'a Earlier,
    /// It may be repeated: it may probe an endpoint at once.
    pub(super) may_repeat: bool,
    /// What the caller chose.
    pub(super) options: &'a CallOptions,
    /// By the clock of the endpoints' loads.
    pub(super) now: u64,
    /// A further connection to an endpoint may be made.
    pub(super) has_more: bool,
}

impl Wish<'_> {
    fn avoids(&self, name: &str) -> bool {
        let chosen = self.options.chosen_avoided();
        let failed_at = self.earlier.failed_at();
        failed_at.iter().chain(chosen).any(|it| it.name() == name)
    }

    fn avoids_any(&self) -> bool {
        !self.earlier.failed_at().is_empty() || !self.options.chosen_avoided().is_empty()
    }

    /// The leader, unless the caller avoids it. That an attempt failed there counts less: the word
    /// of the server is newer.
    fn leader(&self) -> Option<&Endpoint> {
        let leader = self.earlier.leader()?;
        let is_avoided = self.options.chosen_avoided().contains(leader);
        (!is_avoided).then_some(leader)
    }
}

/// A slot on the endpoint that the picker chooses, or on another one if that has none.
pub(super) fn look(published: &Published, picker: &dyn Picker, wish: &Wish<'_>) -> Picked {
    let ready = &published.ready;
    let all = &*ready.endpoints;
    if all.is_empty() {
        return Picked::NotReady(published.state);
    }
    if !ready.probed.is_empty()
        && let Some(slot) = probe(&ready.probed, wish)
    {
        return Picked::Slot(slot);
    }
    // Places that are not asked. It takes memory only for a retry, or if an endpoint is full.
    let mut without = Vec::new();
    if all.len() > 1 {
        if let Some(slot) = wish.leader().and_then(|it| take_named(ready, it, wish)) {
            return Picked::Slot(slot);
        }
        if wish.avoids_any() {
            let places = 0..all.len();
            let is_avoided = |place: &usize| {
                let endpoint = all.get(*place);
                endpoint.is_some_and(|it| wish.avoids(it.name()))
            };
            without.extend(places.filter(is_avoided));
            if without.len() == all.len() {
                without.clear();
            }
        }
        let call = Call::new(wish.head, wish.options.chosen_shard_key(), wish.now);
        for _ in 0..PICKS {
            let choice = Ready::new(all, &without);
            if choice.is_empty() {
                break;
            }
            let index = picker.pick(&choice, &call).min(choice.len() - 1);
            let place = choice.place(index);
            if let Some(slot) = take_at(ready, place, wish) {
                return Picked::Slot(slot);
            }
            let at = without.partition_point(|it| *it < place);
            without.insert(at, place);
        }
    }
    let mut left = (0..all.len()).filter(|place| without.binary_search(place).is_err());
    match left.find_map(|place| take_at(ready, place, wish)) {
        Some(slot) => Picked::Slot(slot),
        None => full(ready.subchannels.iter().map(|it| &**it)),
    }
}

/// A slot on the endpoint that the call names.
pub(super) fn look_at(subchannel: &Subchannel, wish: &Wish<'_>) -> Picked {
    if let Some(slot) = take(subchannel, wish) {
        return Picked::Slot(slot);
    }
    match unready(subchannel) {
        None => full([subchannel]),
        Some(state) => Picked::NotReady(state),
    }
}

/// The state of an endpoint that takes no call; `None` if it takes calls, whether or not a slot is
/// free.
pub(super) fn unready(subchannel: &Subchannel) -> Option<Connectivity> {
    match subchannel.view().state {
        Connectivity::Ready => None,
        // Not healthy, but health does not count now (CONTRACT L8).
        _ if !subchannel.endpoint.connections().is_empty() => None,
        state => Some(state),
    }
}

/// A slot on the endpoint of this name, if it is ready.
#[cold]
fn take_named(ready: &Listed, name: &Endpoint, wish: &Wish<'_>) -> Option<Slot> {
    let mut endpoints = ready.endpoints.iter();
    let place = endpoints.position(|it| it.name() == name.name())?;
    take_at(ready, place, wish)
}

/// A slot on an endpoint about which the call decides (CONTRACT O3).
#[cold]
fn probe(probed: &[Arc<Subchannel>], wish: &Wish<'_>) -> Option<Slot> {
    let wanted = probed.iter().filter(|it| !wish.avoids(it.name()));
    wanted.into_iter().find_map(|subchannel| {
        let tally = subchannel.endpoint.load().tally()?;
        if !tally.takes_probe(wish.now, wish.may_repeat) {
            return None;
        }
        let slot = take(subchannel, wish);
        if slot.is_none() {
            tally.no_probe(wish.now);
        }
        slot.map(Slot::probing)
    })
}

fn take_at(ready: &Listed, place: usize, wish: &Wish<'_>) -> Option<Slot> {
    take(ready.subchannels.get(place)?, wish)
}

/// A slot on a connection of the endpoint: the oldest one first, up to [`FILL`] calls.
#[inline]
fn take(subchannel: &Subchannel, wish: &Wish<'_>) -> Option<Slot> {
    let connections = subchannel.endpoint.connections();
    let found = connections
        .iter()
        .filter(|it| it.is_open() && has_room(it, wish))
        .find(|it| it.slots.take(FILL));
    let found = found.or_else(|| take_more(subchannel, &connections, wish));
    found.map(|it| Slot::taken(Arc::clone(it), wish.now))
}

#[inline]
fn has_room(connection: &Connection, wish: &Wish<'_>) -> bool {
    wish.reserved == 0 || connection.slots.free() > wish.reserved
}

/// All have as many calls as the first one is filled to.
#[cold]
fn take_more<'a>(
    subchannel: &Subchannel,
    connections: &'a [Arc<Connection>],
    wish: &Wish<'_>,
) -> Option<&'a Arc<Connection>> {
    let least = connections
        .iter()
        .filter(|it| it.is_open() && has_room(it, wish) && it.slots.free() > 0)
        .min_by_key(|it| it.slots.in_use());
    // The endpoint replaces one that may be dead, by the rules of dialling.
    let is_replaced = connections.iter().any(|it| it.is_silent());
    if wish.has_more && !is_replaced && (connections.len() == 1 || least.is_none()) {
        subchannel.demand_more();
    }
    least.filter(|it| it.slots.take(u32::MAX))
}

/// No slot is free. Whether one may be soon, or the servers allow none at all.
#[cold]
fn full<'a>(subchannels: impl IntoIterator<Item = &'a Subchannel>) -> Picked {
    let mut connections = 0;
    for subchannel in subchannels {
        for connection in subchannel.endpoint.connections().iter() {
            if connection.slots.limit() > 0 {
                return Picked::Full;
            }
            connections += 1;
        }
    }
    if connections == 0 {
        // They were lost a moment ago, and the balancer will say so.
        Picked::Full
    } else {
        Picked::NoStreams
    }
}
