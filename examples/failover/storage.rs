//! openraft's storage traits over a [`Disk`].

use std::fmt::Debug;
use std::io::Cursor;
use std::ops::RangeBounds;

use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    AnyError, BasicNode, Entry, LogId, LogState, OptionalSend, RaftLogReader, RaftSnapshotBuilder,
    Snapshot, SnapshotMeta, StorageError, StorageIOError, StoredMembership, Vote,
};

use crate::disk::Disk;
use crate::store::{NodeId, Store, TypeConfig};

type Stored<T> = Result<T, StorageError<NodeId>>;

impl RaftLogReader<TypeConfig> for Disk {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Stored<Vec<Entry<TypeConfig>>> {
        Ok(self.with_log(|log| {
            log.entries
                .range(range)
                .map(|(_, entry)| entry.clone())
                .collect()
        }))
    }
}

impl RaftLogStorage<TypeConfig> for Disk {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Stored<LogState<TypeConfig>> {
        Ok(self.with_log(|log| LogState {
            last_purged_log_id: log.purged,
            last_log_id: log
                .entries
                .values()
                .next_back()
                .map(|entry| entry.log_id)
                .or(log.purged),
        }))
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<NodeId>) -> Stored<()> {
        self.with_log(|log| log.vote = Some(*vote));
        Ok(())
    }

    async fn read_vote(&mut self) -> Stored<Option<Vote<NodeId>>> {
        Ok(self.with_log(|log| log.vote))
    }

    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<TypeConfig>) -> Stored<()>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.with_log(|log| {
            log.entries
                .extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
        });
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId<NodeId>) -> Stored<()> {
        self.with_log(|log| drop(log.entries.split_off(&from.index)));
        Ok(())
    }

    async fn purge(&mut self, upto: LogId<NodeId>) -> Stored<()> {
        self.with_log(|log| {
            log.entries = log.entries.split_off(&(upto.index + 1));
            log.purged = Some(upto);
        });
        Ok(())
    }
}

impl RaftStateMachine<TypeConfig> for Disk {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Stored<(Option<LogId<NodeId>>, StoredMembership<NodeId, BasicNode>)> {
        Ok(self.with_store(|store| (store.last_applied(), store.membership().clone())))
    }

    async fn apply<I>(&mut self, entries: I) -> Stored<Vec<()>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        Ok(self.with_store(|store| {
            entries
                .into_iter()
                .map(|entry| store.apply(entry))
                .collect()
        }))
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Stored<Box<Cursor<Vec<u8>>>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<NodeId, BasicNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Stored<()> {
        let received = Store::from_snapshot(snapshot.get_ref()).map_err(|e| {
            StorageIOError::read_snapshot(Some(meta.signature()), AnyError::new(&e))
        })?;
        self.with_store(|store| *store = received);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Stored<Option<Snapshot<TypeConfig>>> {
        if self.last_applied().is_none() {
            return Ok(None);
        }
        self.build_snapshot().await.map(Some)
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Disk {
    async fn build_snapshot(&mut self) -> Stored<Snapshot<TypeConfig>> {
        self.with_store(|store| store.to_snapshot())
            .map_err(|e| StorageIOError::write_snapshot(None, AnyError::new(&e)).into())
    }
}
