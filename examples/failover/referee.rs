//! The referee sees every call of the undeclared method that begins on any node, and checks the
//! nodes when all is quiet.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::Disk;
use crate::reigns::Reigns;
use crate::store::Stamp;

/// Counts how often undeclared calls began, and knows who led when; clones share both.
#[derive(Clone, Default)]
pub(crate) struct Referee {
    begun: Arc<Mutex<HashMap<Stamp, u32>>>,
    pub(crate) reigns: Reigns,
}

impl Referee {
    /// To be called once the handler does not refuse the call, and before it does anything else.
    pub(crate) fn saw_undeclared_call(&self, stamp: Stamp) {
        *self.begun.lock().entry(stamp).or_default() += 1;
    }

    pub(crate) fn calls_that_began_more_than_once(&self) -> usize {
        self.begun
            .lock()
            .values()
            .filter(|&&times| times > 1)
            .count()
    }
}

/// How many of these acknowledged writes at least one node lacks.
pub(crate) fn missing_on_any(disks: &[Disk], acknowledged: &[Stamp]) -> usize {
    how_many(acknowledged, |stamp| {
        disks
            .iter()
            .any(|disk| disk.with_store(|store| store.times_applied(stamp) == 0))
    })
}

/// How many of these writes at least one node applied more than once.
pub(crate) fn applied_more_than_once(disks: &[Disk], attempted: &[Stamp]) -> usize {
    how_many(attempted, |stamp| {
        disks
            .iter()
            .any(|disk| disk.with_store(|store| store.times_applied(stamp) > 1))
    })
}

fn how_many(stamps: &[Stamp], has_the_flaw: impl Fn(Stamp) -> bool) -> usize {
    stamps.iter().filter(|&&stamp| has_the_flaw(stamp)).count()
}
