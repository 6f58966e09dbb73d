//! A node's disk: vote, log and applied state, in memory but outside the node's runtime, so that they survive its death.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::{Entry, LogId, Vote};
use parking_lot::Mutex;

use crate::store::{NodeId, Store, TypeConfig};

/// What a node has written to its log device.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) vote: Option<Vote<NodeId>>,
    pub(crate) purged: Option<LogId<NodeId>>,
    pub(crate) entries: BTreeMap<u64, Entry<TypeConfig>>,
}

#[derive(Default)]
struct Platters {
    log: Mutex<Log>,
    store: Mutex<Store>,
}

/// A handle to a disk; clones share the disk.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    platters: Arc<Platters>,
}

impl Disk {
    pub(crate) fn with_log<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.platters.log.lock())
    }

    pub(crate) fn with_store<T>(&self, look: impl FnOnce(&mut Store) -> T) -> T {
        look(&mut self.platters.store.lock())
    }

    pub(crate) fn last_applied(&self) -> Option<LogId<NodeId>> {
        self.with_store(|store| store.last_applied())
    }

    pub(crate) fn last_log_index(&self) -> Option<u64> {
        self.with_log(|log| log.entries.keys().next_back().copied())
    }

    /// True once the last task of a killed node has let go of its disk, so that nothing of it can write any more.
    pub(crate) fn is_held_by_nobody_else(&self) -> bool {
        Arc::strong_count(&self.platters) == 1
    }
}
