//! What it costs to keep a request for another attempt, by its size.
//!
//! ```console
//! $ cargo bench -p grpc-resilience-benches --bench replay
//! $ cargo bench -p grpc-resilience-benches --bench replay -- --write
//! ```

#[path = "replay/call.rs"]
mod call;
#[path = "replay/stacks.rs"]
mod stacks;

use std::fmt::Write as _;
use std::iter::zip;

use benches::document::{self, short, table};
use benches::plot::{self, Line};
use benches::{Failure, Options, rounds};
use clap::Parser as _;
use tokio::runtime::Builder;

use call::Kind;
use stacks::Subject;

const ROUNDS: usize = 31;
/// Bytes that a stack reads in one turn, and calls that it makes at most.
const TURN: usize = 16 << 20;
const MOST_CALLS: usize = 500;
const SIZES: [usize; 7] = [
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
];

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let mut text = String::new();
    for kind in [Kind::Unary, Kind::Stream] {
        let lines = measure(kind)?;
        write!(text, "{}\n\n{}\n\n", kind.title(), show(&lines))?;
        if options.write {
            let title = "The time of a call by the size of its request";
            let axes = ("KiB of request", "us a call");
            plot::lines(
                kind.file(),
                &format!("{title}, {}", kind.name()),
                axes,
                &lines,
            )?;
        }
    }
    println!("{text}");
    if options.write {
        document::write_section("replay", &text)?;
    }
    Ok(())
}

/// Microseconds of a call by KiB of its request, for each stack.
fn measure(kind: Kind) -> Result<Vec<Line>, Failure> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let mut stacks = stacks::all();
    let mut lines: Vec<Line> = stacks
        .iter()
        .map(|(name, _)| ((*name).into(), vec![]))
        .collect();
    for size in SIZES {
        let calls = (TURN / size).clamp(1, MOST_CALLS);
        let mut turn = |(_, stack): &mut Subject| {
            let calls = (0..calls).map(|_| call::request(kind, size));
            runtime.block_on(stack.run(calls.collect()))
        };
        stacks.iter_mut().try_for_each(&mut turn)?;
        let times = rounds::interleaved(ROUNDS, &mut stacks, turn)?;
        let calls = f64::from(u32::try_from(calls)?);
        let kibibytes = f64::from(u32::try_from(size)?) / 1024.0;
        for ((_, points), times) in zip(&mut lines, times) {
            let each = times.iter().map(|time| time.as_secs_f64() * 1e6 / calls);
            points.push((kibibytes, rounds::median(each)));
        }
    }
    Ok(lines)
}

fn show(lines: &[Line]) -> String {
    let rows = lines.iter().map(|(name, points)| {
        let mut cells = points.iter().map(|(_, us)| short(*us));
        let mut cell = || cells.next().unwrap_or_default();
        [
            name.clone(),
            cell(),
            cell(),
            cell(),
            cell(),
            cell(),
            cell(),
            cell(),
        ]
    });
    let header = [
        "us a call",
        "1 KiB",
        "4 KiB",
        "16 KiB",
        "64 KiB",
        "256 KiB",
        "1 MiB",
        "4 MiB",
    ];
    table(header, rows)
}
