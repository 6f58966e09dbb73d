//! What the crate promises, and whether a run kept it.

use std::fmt;
use std::process::ExitCode;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

/// Of the planned load: with less, the figures mean nothing.
const LEAST_OFFERED: f64 = 0.99;

/// A promise, and the figure that was seen.
pub struct Promise {
    experiment: &'static str,
    promised: String,
    seen: String,
    /// Whether the run kept it.
    pub kept: bool,
    /// Whether it is about times, which a busy machine makes longer.
    pub is_time: bool,
}

impl Promise {
    /// What an experiment promised, and what was seen of it.
    pub fn new(
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
            is_time: false,
        }
    }

    /// The same, about times.
    #[must_use]
    pub fn of_times(self) -> Self {
        Self {
            is_time: true,
            ..self
        }
    }

    /// None of the crate's: that the load was what it should be.
    #[must_use]
    pub fn offered(experiment: &'static str, rate: f64, per_second: u32) -> Self {
        let least = LEAST_OFFERED * f64::from(per_second);
        Self::new(
            experiment,
            format!("(the load: at least {least:.0} calls/s are offered)"),
            format!("{rate:.0} calls/s"),
            rate >= least,
        )
        .of_times()
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.experiment, self.promised, self.seen)
    }
}

/// One line a promise.
#[must_use]
pub fn verdict(promises: &[Promise]) -> Table {
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

/// Prints the table, and says how the program ends: with success if all promises were kept.
#[must_use]
pub fn conclude(promises: &[Promise]) -> ExitCode {
    println!("\n{}", verdict(promises));
    if promises.iter().all(|promise| promise.kept) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
