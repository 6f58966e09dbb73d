//! When which node was the leader. On a busy machine leaders also lose their office alive, as their
//! heartbeats come too late.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::store::NodeId;

/// A log of all nodes; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Reigns {
    changes: Arc<Mutex<Vec<Change>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Elected,
    SteppedDown,
    Killed,
}

#[derive(Clone, Copy)]
struct Change {
    at: Instant,
    node: NodeId,
    kind: Kind,
}

impl Reigns {
    /// The node leads from now on, or no more.
    pub(crate) fn leads(&self, node: NodeId, leads: bool) {
        let kind = if leads {
            Kind::Elected
        } else {
            Kind::SteppedDown
        };
        self.add(node, kind);
    }

    pub(crate) fn killed(&self, node: NodeId) {
        self.add(node, Kind::Killed);
    }

    fn add(&self, node: NodeId, kind: Kind) {
        let at = Instant::now();
        let mut changes = self.changes.lock();
        // As a killed node dies, it says that it no longer leads.
        let last = changes.iter().rev().find(|it| it.node == node);
        let is_killed = last.is_some_and(|it| it.kind == Kind::Killed);
        if !(is_killed && kind == Kind::SteppedDown) {
            changes.push(Change { at, node, kind });
        }
    }

    /// For how long of this time there was a leader.
    pub(crate) fn led(&self, from: Instant, to: Instant) -> Duration {
        let mut leaders = BTreeSet::new();
        let mut since = from;
        let mut led = Duration::ZERO;
        for change in self.changes.lock().iter() {
            let at = change.at.clamp(from, to);
            if !leaders.is_empty() {
                led += at - since;
            }
            since = at;
            let _ = match change.kind {
                Kind::Elected => leaders.insert(change.node),
                Kind::SteppedDown | Kind::Killed => leaders.remove(&change.node),
            };
        }
        if !leaders.is_empty() {
            led += to - since;
        }
        led
    }

    /// How often a leader stepped down alive in this time.
    pub(crate) fn stepped_down(&self, from: Instant, to: Instant) -> usize {
        let changes = self.changes.lock();
        let alive = changes.iter().filter(|it| it.kind == Kind::SteppedDown);
        alive.filter(|it| from <= it.at && it.at <= to).count()
    }
}
