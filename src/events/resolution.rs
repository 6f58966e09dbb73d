//! The addresses of `channel::Channel`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::TARGET;

/// Names beyond this number are only counted.
const NAMED: usize = 8;

/// The resolver's answer added or removed endpoints; there are `endpoints` now.
#[cold]
pub(crate) fn addresses_changed(
    target: &str,
    endpoints: usize,
    added: &[Arc<str>],
    removed: &[Arc<str>],
) {
    let (added, removed) = (Names(added), Names(removed));
    tracing::info!(
        target: TARGET, resolved = target, endpoints, %added, %removed,
        "the addresses of a channel changed"
    );
}

/// The first failure since a good answer. The last addresses stay in use.
#[cold]
pub(crate) fn resolution_failed(target: &str, error: &dyn fmt::Display) {
    tracing::warn!(
        target: TARGET, resolved = target, %error,
        "the addresses of a channel could not be resolved: the last ones, if any, stay in use"
    );
}

/// The target has no address, and has had none for so long that the last ones are given up.
#[cold]
pub(crate) fn addresses_lapsed(target: &str, error: &dyn fmt::Display) {
    tracing::warn!(
        target: TARGET, resolved = target, %error,
        "the target of a channel has no address any more: calls fail until it has one again"
    );
}

/// A good answer came, after failures for so long.
#[cold]
pub(crate) fn resolution_is_back(target: &str, down_for: Duration) {
    tracing::info!(
        target: TARGET, resolved = target, ?down_for,
        "the addresses of a channel are resolved again"
    );
}

struct Names<'a>(&'a [Arc<str>]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, name) in self.0.iter().take(NAMED).enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        match self.0.len().checked_sub(NAMED) {
            Some(more) if more > 0 => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}
