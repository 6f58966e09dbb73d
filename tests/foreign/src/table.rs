//! The table that a program prints.

use std::fmt;
use std::time::Duration;

use comfy_table::presets::ASCII_MARKDOWN;

use crate::oracle::Oracle;
use crate::tally::Tally;

/// One row for each load.
#[derive(Debug)]
pub struct Table {
    table: comfy_table::Table,
    limit: Duration,
}

impl Table {
    /// Counts the calls that take longer than `limit`.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        let over = format!("over {} ms", limit.as_millis());
        let mut table = comfy_table::Table::new();
        table.load_style(ASCII_MARKDOWN).set_header([
            "run", "calls", "calls/s", "failed", &over, "p50 ms", "p99 ms", "max ms", "twice",
        ]);
        Self { table, limit }
    }

    /// Adds a row, and prints a line that shows where the program stands.
    ///
    /// `oracle`, if there is one, tells how many calls began twice.
    pub fn add(&mut self, name: &str, tally: &Tally, oracle: Option<&Oracle>) {
        let durations = tally.durations();
        let twice = oracle.map_or("-".to_owned(), |it| it.twice(tally).len().to_string());
        println!("{name}: {} calls", tally.calls());
        for (count, failure) in tally.failures().iter().take(5) {
            println!("  {count} failed with {failure}");
        }
        self.table.add_row([
            name.to_owned(),
            tally.calls().to_string(),
            format!("{:.0}", tally.per_second()),
            tally.failed().count().to_string(),
            tally.over(self.limit).to_string(),
            percentile(&durations, 0.5),
            percentile(&durations, 0.99),
            percentile(&durations, 1.0),
            twice,
        ]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}

/// The nearest rank of sorted durations, in milliseconds.
fn percentile(sorted: &[Duration], share: f64) -> String {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into durations measured here"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    let found = sorted.get(rank.saturating_sub(1));
    found.map_or("-".to_owned(), |it| {
        format!("{:.1}", it.as_secs_f64() * 1e3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let sorted: Vec<_> = (1..=10).map(Duration::from_millis).collect();
        let found = [0.5, 0.99, 1.0].map(|share| percentile(&sorted, share));
        assert_eq!(found, ["5.0", "10.0", "10.0"]);
        assert_eq!(percentile(&[], 0.5), "-");
    }
}
