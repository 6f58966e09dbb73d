use std::collections::BTreeSet;

use crate::sync::Mutex;

/// A client has this many methods at most, unless their names are made up as it runs.
pub(super) const MOST: usize = 1_000;

/// The methods that were called though nothing is known of them.
#[derive(Debug, Default)]
pub(super) struct Called {
    methods: Mutex<BTreeSet<String>>,
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
        tracing::warn!(
            method,
            "a method was called that no descriptor, table or rule knows: it is not repeated once \
             it may have run; describe or declare it"
        );
    }

    pub(super) fn methods(&self) -> Vec<String> {
        self.methods.lock().iter().cloned().collect()
    }
}
