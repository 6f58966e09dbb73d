//! What happened when, in order.

use std::sync::{Arc, Mutex};

use tokio::time::Instant;

#[derive(Clone)]
pub(crate) struct Log {
    begin: Instant,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            begin: Instant::now(),
            lines: Arc::default(),
        }
    }

    /// Writes it down, after the seconds so far.
    pub(crate) fn add(&self, what: &str) {
        let line = format!("{:.0} {what}", self.begin.elapsed().as_secs_f64());
        self.lines.lock().unwrap().push(line);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}
