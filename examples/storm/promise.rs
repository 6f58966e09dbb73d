//! What the crate promises of its defaults, and whether a run kept it.

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

/// Of the planned load: with less, the figures mean nothing.
const LEAST_OFFERED: f64 = 0.99;

/// A promise, and the figure that was seen.
pub(crate) struct Promise {
    experiment: &'static str,
    promised: String,
    seen: String,
    pub(crate) kept: bool,
}

impl Promise {
    pub(crate) fn new(
        experiment: &'static str,
        promised: impl Into<String>,
        seen: impl Into<String>,
        kept: bool,
    ) -> Self {
        Self {
            experiment,
            promised: promised.into(),
            seen: seen.into(),
            kept,
        }
    }

    /// None of the crate's: that the load was what it should be.
    pub(crate) fn offered(experiment: &'static str, rate: f64, per_second: u32) -> Self {
        let least = LEAST_OFFERED * f64::from(per_second);
        Self::new(
            experiment,
            format!("(the load: at least {least:.0} calls/s are offered)"),
            format!("{rate:.0} calls/s"),
            rate >= least,
        )
    }
}

/// One line a promise.
pub(crate) fn verdict(promises: &[Promise]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "experiment",
        "promised of grpc-resilience",
        "seen",
        "verdict",
    ]);
    for promise in promises {
        let verdict = if promise.kept { "kept" } else { "BROKEN" };
        table.add_row([
            promise.experiment,
            &promise.promised,
            &promise.seen,
            verdict,
        ]);
    }
    table
}
