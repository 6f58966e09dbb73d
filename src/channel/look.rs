use std::sync::Arc;

use super::connection::Connection;
use super::connectivity::Connectivity;
use super::exchange::Slot;
use super::shared::{Published, ReadyEndpoint};
use crate::classify::Endpoint;

/// The number of calls on the first connection of an endpoint before the second one is used
/// (CONTRACT C8): with fewer, two connections cost more writes than they save time.
const FILL: u32 = 32;

/// What a call finds.
#[derive(Debug)]
pub(super) enum Picked {
    Slot(Slot),
    /// Connections are there, and none of them has a slot.
    Full,
    /// No endpoint allows a stream (CONTRACT C7).
    NoStreams,
    /// No endpoint is ready.
    NotReady(Connectivity),
}

/// What a call wants of its endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    /// More slots have to be free: these are for calls before this one.
    pub(super) reserved: u32,
    /// Not these, while others are ready (CONTRACT L2).
    pub(super) avoided: &'a [Endpoint],
}

impl Wish<'_> {
    fn avoids(&self, endpoint: &ReadyEndpoint) -> bool {
        let connection = endpoint.connections.first();
        connection.is_some_and(|it| self.avoided.iter().any(|bad| bad.name() == &*it.endpoint))
    }
}

/// The next ready endpoint with a free slot; `more` is told of an endpoint that could use one more
/// connection.
pub(super) fn pick(
    published: &Published,
    turn: usize,
    wish: Wish<'_>,
    mut more: impl FnMut(usize),
) -> Picked {
    let ready = &published.ready;
    if ready.is_empty() {
        return Picked::NotReady(published.state);
    }
    let has_other = !wish.avoided.is_empty() && ready.iter().any(|it| !wish.avoids(it));
    let (before, from) = ready.split_at(turn % ready.len());
    for endpoint in from.iter().chain(before) {
        if has_other && wish.avoids(endpoint) {
            continue;
        }
        if let Some(connection) = take(endpoint, wish.reserved, &mut more) {
            return Picked::Slot(Slot::taken(Arc::clone(connection)));
        }
    }
    let mut connections = ready.iter().flat_map(|it| &it.connections);
    if connections.all(|it| it.slots.limit() == 0) {
        return Picked::NoStreams;
    }
    Picked::Full
}

fn take<'a>(
    endpoint: &'a ReadyEndpoint,
    reserved: u32,
    more: &mut impl FnMut(usize),
) -> Option<&'a Arc<Connection>> {
    let connections = &endpoint.connections;
    let open = || {
        let has_room = |it: &&Arc<Connection>| reserved == 0 || it.slots.free() > reserved;
        connections
            .iter()
            .filter(|it| it.is_open())
            .filter(has_room)
    };
    if let Some(found) = open().find(|it| it.slots.take(FILL)) {
        return Some(found);
    }
    // All have as many calls as the first one is filled to.
    let least = open()
        .filter(|it| it.slots.free() > 0)
        .min_by_key(|it| it.slots.in_use());
    if connections.len() == 1 || least.is_none() {
        more(endpoint.index);
    }
    least.filter(|it| it.slots.take(u32::MAX))
}
