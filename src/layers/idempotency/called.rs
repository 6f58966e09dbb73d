use std::collections::BTreeSet;

use crate::events::{self, Once};
use crate::kernel::sync::Mutex;

/// A client has this many methods at most, unless their names are made up as it runs.
pub(super) const MOST: usize = 1_000;

/// What was said of one set of declarations, and the methods that were called though nothing is
/// known of them.
#[derive(Debug, Default)]
pub(super) struct Called {
    methods: Mutex<BTreeSet<String>>,
    /// Whether it was told that the layer stands below a retry layer.
    pub(super) below_retry: Once,
    /// Whether the patterns were compared with each other and with the described methods.
    pub(super) compared: Once,
}

impl Called {
    /// Keeps a method, and warns of it the first time.
    pub(super) fn note(&self, method: &str) {
        let mut methods = self.methods.lock();
        if methods.len() >= MOST || methods.contains(method) {
            return;
        }
        methods.insert(method.to_owned());
        drop(methods);
        events::method_unknown(method);
    }

    pub(super) fn methods(&self) -> Vec<String> {
        self.methods.lock().iter().cloned().collect()
    }
}
