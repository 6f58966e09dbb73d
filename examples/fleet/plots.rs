//! Calls over time, as a plot.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use super::clients::OURS;
use super::record::{Call, Record};
use crate::Failure;
use crate::show::plot::{Line, Plot, points};

/// Writes a plot of how many calls of a kind ended in each 100 ms, by client.
///
/// # Errors
///
/// The plot could not be drawn, or the file not be written.
pub fn plot(
    out: &Path,
    name: &str,
    (title, y): (&str, &'static str),
    shaded: Option<(Range<Duration>, &'static str)>,
    records: &[(&'static str, &Record)],
    is_such: impl Fn(&Call) -> bool,
) -> Result<(), Failure> {
    let ends = |record: &Record| record.calls().iter().map(|call| call.ended).max();
    let end = records.iter().filter_map(|(_, record)| ends(record)).max();
    let lines = records.iter().map(|(name, record)| Line {
        name,
        is_ours: *name == OURS,
        points: points(&record.ends(&is_such), end.unwrap_or_default()),
    });
    let plot = Plot {
        title: title.into(),
        x: "seconds",
        y,
        shaded: shaded.map(|(time, what)| {
            let time = time.start.as_secs_f64()..time.end.as_secs_f64();
            (time, what)
        }),
        lines: lines.collect(),
    };
    println!("{}", plot.write(out, name)?.display());
    Ok(())
}
