use std::hash::BuildHasher as _;
use std::sync::{Arc, OnceLock};

use rustc_hash::FxBuildHasher;

use crate::kernel::striped::Striped;

use super::said::Said;

/// Room for so many methods: more than most clients call.
const SLOTS: usize = 256;

/// So many slots are looked at for a method.
const NEAR: usize = 4;

/// A method of a longer path is asked about for each call: paths may come from outside.
const LONGEST: usize = 256;

/// What the layers say of calls whose callers say nothing, by method: asked once, then found.
///
/// A method has its place for good, with the policy that it had then, and so reading takes no lock
/// and no counter. One that finds no place near its hash is asked about for each call, and so is
/// one whose policy was replaced since.
pub(super) struct Methods(Box<[OnceLock<Box<Method>>]>);

struct Method {
    path: Box<str>,
    said: Arc<Said>,
    /// By what calls hold that.
    holds: Striped<Said>,
    /// How often the policies had been replaced.
    changes: usize,
}

impl Methods {
    pub(super) fn new() -> Self {
        Self((0..SLOTS).map(|_| OnceLock::new()).collect())
    }

    /// What was said of this method, if the policies have not been replaced since.
    #[inline]
    pub(super) fn find(&self, path: &str, changes: usize) -> Option<Arc<Said>> {
        let mut methods = self.near(path).map_while(OnceLock::get);
        let method = methods.find(|method| *method.path == *path)?;
        // One whose policy was replaced is asked about again, for each call.
        if method.changes != changes {
            return None;
        }
        Some(method.holds.get(|| method.said.apart()))
    }

    /// Keeps what was said of it, if there is a place near its hash.
    #[cold]
    pub(super) fn keep(&self, path: &str, changes: usize, said: &Arc<Said>) {
        if path.len() > LONGEST {
            return;
        }
        let mut slots = self.near(path);
        let Some(free) = slots.find(|slot| slot.get().is_none_or(|method| *method.path == *path))
        else {
            return;
        };
        let method = Method {
            path: path.into(),
            said: Arc::clone(said),
            holds: Striped::new(),
            changes,
        };
        // Whoever was faster has said the same, or has its place: then this one waits for its next
        // call.
        let _ = free.set(Box::new(method));
    }

    fn near(&self, path: &str) -> impl Iterator<Item = &OnceLock<Box<Method>>> {
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash do")]
        let first = FxBuildHasher.hash_one(path) as usize;
        (0..NEAR).filter_map(move |next| self.0.get(first.wrapping_add(next) % SLOTS))
    }
}
