//! Instructions of a call, counted by callgrind.

use std::process::Command;

use benches::Failure;
use benches::document::{self, whole};

use crate::ours::{LAYERED, ONE};
use crate::part::Part;
use crate::subjects::BARE;
use crate::turn::Load;

const FEW: u32 = 500;
const MANY: u32 = 2_500;

/// What our channel may take of one call at a time, and of 64 at once.
const GOALS: [(u32, f64); 2] = [(1, 34_000.0), (64, 32_000.0)];

/// What tonic's channel, ours, and our layers over it take.
pub(crate) fn table(address: &str) -> Result<String, Failure> {
    let mut rows = Vec::new();
    for name in [BARE, ONE, LAYERED] {
        let mut row = [name.to_owned(), String::new(), String::new(), String::new()];
        let [_, one, many, kept] = &mut row;
        let mut is_kept = true;
        for (cell, (at_once, goal)) in [one, many].into_iter().zip(GOALS) {
            let count = of(name, address, at_once)?;
            is_kept &= count <= goal;
            *cell = whole(count);
        }
        if name == ONE {
            *kept = if is_kept { "kept" } else { "BROKEN" }.into();
        }
        rows.push(row);
    }
    let header = [
        "client instructions of a call",
        "one at a time",
        "64 at once",
        "<= 34000, 32000",
    ];
    Ok(format!("{}\n", document::table(header, rows)))
}

/// Those of one call of the client's process: a run of many calls, less one of few.
fn of(subject: &str, address: &str, at_once: u32) -> Result<f64, Failure> {
    let few = collected(subject, address, at_once, FEW)?;
    let many = collected(subject, address, at_once, MANY)?;
    Ok((many - few) / f64::from(MANY - FEW))
}

fn collected(subject: &str, address: &str, at_once: u32, calls: u32) -> Result<f64, Failure> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["calls", subject, address])
        .args([at_once.to_string(), calls.to_string()])
        .output()
        .map_err(|error| format!("can't run valgrind, which counts the instructions: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    match line.map(|(_, count)| count.trim().parse()) {
        Some(Ok(count)) if output.status.success() => Ok(count),
        _ => Err(format!("callgrind failed on {subject:?}:\n{said}").into()),
    }
}

/// Makes these calls, for callgrind to count.
pub(crate) fn run(subject: &str, address: &str, load: Load, workers: usize) -> Result<(), Failure> {
    let runtime = crate::runtime(workers)?;
    let found = {
        let _entered = runtime.enter();
        Part::Calls.subject(subject, address, None)?
    };
    runtime.block_on(found.caller.run(load))
}
