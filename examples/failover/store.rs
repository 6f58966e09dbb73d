//! The replicated state machine: a map of keys, and how often each write was applied to it.
//!
//! It counts every application and hides none, so that a repeated append shows in its value as well as in the count.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;

use openraft::{BasicNode, EntryPayload, LogId, SnapshotMeta, StoredMembership};
use serde::{Deserialize, Serialize};

pub(crate) type NodeId = u64;

openraft::declare_raft_types!(
    /// openraft with this store's writes.
    pub(crate) TypeConfig:
        D = Write,
        R = (),
        NodeId = NodeId,
        Node = BasicNode,
);

/// Names one write of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) client: u32,
    pub(crate) serial: u64,
}

/// One entry of the replicated log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Write {
    pub(crate) stamp: Stamp,
    pub(crate) key: String,
    pub(crate) change: Change,
}

/// What a write does to its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Change {
    Put(String),
    Append(String),
}

/// Everything one node has applied.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Store {
    values: BTreeMap<String, String>,
    applications: HashMap<Stamp, u32>,
    last_applied: Option<LogId<NodeId>>,
    membership: StoredMembership<NodeId, BasicNode>,
}

impl Store {
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        self.values.get(key).cloned()
    }

    pub(crate) fn times_applied(&self, stamp: Stamp) -> u32 {
        self.applications.get(&stamp).copied().unwrap_or(0)
    }

    pub(crate) fn last_applied(&self) -> Option<LogId<NodeId>> {
        self.last_applied
    }

    pub(crate) fn membership(&self) -> &StoredMembership<NodeId, BasicNode> {
        &self.membership
    }

    pub(crate) fn apply(&mut self, entry: openraft::Entry<TypeConfig>) {
        self.last_applied = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(write) => self.write(write),
            EntryPayload::Membership(members) => {
                self.membership = StoredMembership::new(Some(entry.log_id), members);
            }
        }
    }

    fn write(&mut self, write: Write) {
        *self.applications.entry(write.stamp).or_default() += 1;
        let value = self.values.entry(write.key).or_default();
        match write.change {
            Change::Put(new) => *value = new,
            Change::Append(more) => value.push_str(&more),
        }
    }

    pub(crate) fn to_snapshot(&self) -> Result<openraft::Snapshot<TypeConfig>, postcard::Error> {
        let index = self.last_applied.map_or(0, |id| id.index);
        Ok(openraft::Snapshot {
            meta: SnapshotMeta {
                last_log_id: self.last_applied,
                last_membership: self.membership.clone(),
                snapshot_id: format!("up-to-{index}"),
            },
            snapshot: Box::new(Cursor::new(postcard::to_stdvec(self)?)),
        })
    }

    pub(crate) fn from_snapshot(bytes: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }
}
