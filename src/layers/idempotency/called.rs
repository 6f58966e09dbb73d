use std::collections::BTreeSet;

use crate::events::{self, Once};
use crate::kernel::sync::Mutex;

/// Limit of the record. A client has fewer methods than this, unless method names are generated
/// at run time.
pub(super) const MOST: usize = 1_000;

/// State of one set of declarations: which warnings were emitted, and which methods were called
/// without a declaration.
#[derive(Debug, Default)]
pub(super) struct Called {
    methods: Mutex<BTreeSet<String>>,
    /// Set once the warning about a layer below a retry layer was emitted.
    pub(super) below_retry: Once,
    /// Set once the patterns were compared with each other and with the described methods.
    pub(super) compared: Once,
}

impl Called {
    /// Records a method, and warns about it the first time.
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
