//! Instructions of a call, counted by callgrind.

use std::process::Command;

use benches::{Answering, Failure, Subject};

const FEW: u32 = 200;
const MANY: u32 = 1_200;

const SUBJECT: &str = env!("CARGO_BIN_EXE_overhead-subject");

/// Those of one call: a run of many calls, less one of few, so that start and end of the process and
/// the first call, which opens gates and makes buffers, do not count.
pub(crate) fn of(subject: &Subject, answering: Answering) -> Result<f64, Failure> {
    let few = collected(subject, answering, FEW)?;
    let many = collected(subject, answering, MANY)?;
    Ok((many - few) / f64::from(MANY - FEW))
}

fn collected(subject: &Subject, answering: Answering, calls: u32) -> Result<f64, Failure> {
    let later = (answering == Answering::Later).to_string();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", SUBJECT])
        .args(["calls", subject.name, &later, &calls.to_string()])
        .output()
        .map_err(|error| {
            format!("can't run valgrind, which counts the instructions: {error}; install it, as by 'apt install valgrind'")
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    match line.map(|(_, count)| count.trim().parse()) {
        Some(Ok(count)) if output.status.success() => Ok(count),
        _ => Err(format!("callgrind failed on {:?}:\n{said}", subject.name).into()),
    }
}
