//! How the found is shown.

use benches::document::{table, whole};

use crate::found::Found;
use crate::goals;
use crate::part::Part;
use crate::subjects::AGAIN;
use crate::turn::Load;

/// A table, and whether it counts.
pub(crate) fn of(title: &str, part: Part, load: Load, found: &[Found]) -> String {
    let header = [
        title,
        "client CPU us",
        "of tonic",
        "calls/s",
        "of tonic",
        "p50 us",
        "p99 us",
        "goal",
        "",
    ];
    let rows = found.iter().map(|it| {
        let (goal, kept) = goals::of(part, load, it, found);
        [
            it.name.to_owned(),
            format!("{:.2}", it.cpu / 1e3),
            format!("{:.2}", it.cpu_of_first),
            whole(it.calls),
            format!("{:.2}", it.calls_of_first),
            whole(it.p50),
            whole(it.p99),
            goal,
            kept,
        ]
    });
    format!("{}\n\n{}\n", table(header, rows), control(found))
}

/// The second channel of tonic's differs from the first by chance alone.
fn control(found: &[Found]) -> String {
    let Some(again) = found.iter().find(|it| it.name == AGAIN) else {
        return String::new();
    };
    let (calls, cpu) = (again.calls_of_first, again.cpu_of_first);
    let word = |ratio: f64| {
        if (0.97..=1.03).contains(&ratio) {
            "count"
        } else {
            "do not count"
        }
    };
    format!(
        "*{AGAIN}*: CPU {cpu:.3}, so the ratios of CPU {}; calls/s {calls:.3}, so those of calls/s {}.",
        word(cpu),
        word(calls)
    )
}
