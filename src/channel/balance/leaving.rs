use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::channel::resolve::ResolvedAddress;
use crate::channel::subchannel::Subchannel;

/// Removed endpoints: those whose calls go on (CONTRACT N10), and those of which a new dial would
/// be too soon (CONTRACT C3).
#[derive(Default)]
pub(super) struct Leaving {
    by_number: FxHashMap<u64, Left>,
    by_address: FxHashMap<ResolvedAddress, u64>,
    /// When to look at which.
    due: BTreeSet<(Instant, u64)>,
}

struct Left {
    subchannel: Arc<Subchannel>,
    address: ResolvedAddress,
    /// When the calls that still run are ended.
    cut_at: Option<Instant>,
}

/// Longer than two dials of one address have to be apart.
const DIAL_REMEMBERED: Duration = Duration::from_millis(101);

impl Leaving {
    pub(super) fn all(&self) -> Arc<[Arc<Subchannel>]> {
        let mut numbers: Vec<_> = self.by_number.iter().collect();
        numbers.sort_unstable_by_key(|(number, _)| **number);
        let all = numbers
            .into_iter()
            .map(|(_, it)| Arc::clone(&it.subchannel));
        all.collect()
    }

    /// This endpoint was removed and is shut.
    pub(super) fn add(
        &mut self,
        subchannel: Arc<Subchannel>,
        address: ResolvedAddress,
        drain_timeout: Option<Duration>,
        now: Instant,
    ) {
        if subchannel.is_over(now) {
            return;
        }
        let number = subchannel.number;
        let cut_at = drain_timeout.and_then(|timeout| now.checked_add(timeout));
        self.due.extend(cut_at.map(|at| (at, number)));
        self.by_address.insert(address.clone(), number);
        let left = Left {
            subchannel,
            address,
            cut_at,
        };
        self.by_number.insert(number, left);
        self.look_later(number);
    }

    /// The address is back: its endpoint, if anything is left of it. Its calls are not ended then.
    pub(super) fn take(&mut self, address: &ResolvedAddress) -> Option<Arc<Subchannel>> {
        let number = self.by_address.remove(address)?;
        let left = self.by_number.remove(&number)?;
        Some(left.subchannel)
    }

    /// Something happened to this endpoint; whether it is over, or has one connection less.
    pub(super) fn changed(&mut self, number: u64, now: Instant) -> bool {
        let Some(left) = self.by_number.get(&number) else {
            return false;
        };
        if left.subchannel.is_over(now) {
            self.forget(number);
        }
        true
    }

    /// Does what is due; whether less is left, and when to look again.
    pub(super) fn pass(&mut self, now: Instant) -> (bool, Option<Instant>) {
        let before = self.by_number.len();
        while let Some((at, number)) = self.due.first().copied() {
            if at > now {
                break;
            }
            self.due.pop_first();
            let Some(left) = self.by_number.get(&number) else {
                continue;
            };
            if left.subchannel.is_over(now) {
                self.forget(number);
            } else if left.cut_at.is_some_and(|at| at <= now) {
                left.subchannel.cut();
            }
        }
        let next = self.due.first().map(|(at, _)| *at);
        (self.by_number.len() < before, next)
    }

    /// An endpoint without a connection is kept until its address may be dialled again.
    fn look_later(&mut self, number: u64) {
        let Some(left) = self.by_number.get(&number) else {
            return;
        };
        let last_dial = left.subchannel.last_dial();
        let due = last_dial.map(|last| last + DIAL_REMEMBERED);
        self.due.extend(due.map(|due| (due, number)));
    }

    fn forget(&mut self, number: u64) {
        if let Some(left) = self.by_number.remove(&number) {
            self.by_address.remove(&left.address);
        }
    }
}
