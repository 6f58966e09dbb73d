//! What was aimed at before the channel was built.

use crate::found::Found;
use crate::ours::{LAYERED, ONE, OURS};
use crate::part::Part;
use crate::turn::Load;

/// What a ratio to tonic's channel is to be.
enum Goal {
    CpuAtMost(f64),
    CallsAtLeast(f64),
    /// p99, of that of one connection.
    SlowestAtMost(f64),
}

/// The goals of a row and whether each is kept, in words.
pub(crate) fn of(part: Part, load: Load, row: &Found, all: &[Found]) -> (String, String) {
    let one = all.iter().find(|it| it.name == ONE);
    let said = goals(part, load.at_once, row.name).into_iter().map(|goal| {
        let (text, is_kept) = match goal {
            Goal::CpuAtMost(limit) => (format!("CPU <= {limit}"), row.cpu_of_first <= limit),
            Goal::CallsAtLeast(limit) => {
                (format!("calls/s >= {limit}"), row.calls_of_first >= limit)
            }
            Goal::SlowestAtMost(limit) => {
                let ratio = one.map_or(f64::NAN, |one| row.p99 / one.p99);
                (format!("p99 <= {limit} of one"), ratio <= limit)
            }
        };
        (text, if is_kept { "kept" } else { "BROKEN" })
    });
    let (goals, kept): (Vec<_>, Vec<_>) = said.unzip();
    (goals.join(", "), kept.join(", "))
}

fn goals(part: Part, at_once: u32, name: &str) -> Vec<Goal> {
    use Goal::{CallsAtLeast, CpuAtMost, SlowestAtMost};
    match (part, at_once, name) {
        (Part::Calls, 1, ONE) => vec![CpuAtMost(0.85), CallsAtLeast(1.1)],
        (Part::Calls, 64, ONE) => vec![CpuAtMost(0.7), CallsAtLeast(1.9)],
        (Part::Calls, 512, ONE) => vec![CpuAtMost(0.65), CallsAtLeast(1.25)],
        (Part::Calls, 1, LAYERED) => vec![CpuAtMost(0.9), CallsAtLeast(1.05)],
        (Part::Calls, 64, LAYERED) => vec![CpuAtMost(0.8), CallsAtLeast(1.6)],
        (Part::Workers, 1, ONE) => vec![CallsAtLeast(1.6)],
        (Part::Workers, 64, ONE) => vec![CallsAtLeast(1.45)],
        (Part::Workers, 512, ONE) => vec![CallsAtLeast(1.4)],
        (Part::Servers, 1..=32, OURS) => vec![SlowestAtMost(1.1)],
        (Part::Servers, 64, OURS) => vec![CallsAtLeast(1.5)],
        (Part::Both, 64, OURS) => vec![CallsAtLeast(1.3)],
        _ => vec![],
    }
}
