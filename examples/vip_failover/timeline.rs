//! What happened when.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// Happenings, in order; times count from the begin of the load.
pub(crate) struct Timeline {
    opening: Instant,
    happened: Vec<(Duration, String)>,
}

impl Timeline {
    pub(crate) fn new(opening: Instant) -> Self {
        Self {
            opening,
            happened: Vec::new(),
        }
    }

    /// This happened just now; when that is.
    pub(crate) fn say(&mut self, what: impl Into<String>) -> Duration {
        let at = self.opening.elapsed();
        self.add(at, what);
        at
    }

    pub(crate) fn add(&mut self, at: Duration, what: impl Into<String>) {
        self.happened.push((at, what.into()));
        self.happened.sort();
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, what) in &self.happened {
            writeln!(f, "{:>8.3} s  {what}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
