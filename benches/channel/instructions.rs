//! Instructions of a call, counted by callgrind.

use std::process::Command;

use benches::Failure;

use crate::client::Subject;

const FEW: u32 = 500;
const MANY: u32 = 2_500;

/// Those of one call of the client's process: a run of many calls, less one of few.
pub(crate) fn of(subject: Subject, address: &str, callers: u32) -> Result<f64, Failure> {
    let few = collected(subject, address, callers, FEW)?;
    let many = collected(subject, address, callers, MANY)?;
    Ok((many - few) / f64::from(MANY - FEW))
}

fn collected(subject: Subject, address: &str, callers: u32, calls: u32) -> Result<f64, Failure> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(subject.arguments(address, callers, calls))
        .output()
        .map_err(|error| format!("can't run valgrind, which counts the instructions: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    match line.map(|(_, count)| count.trim().parse()) {
        Some(Ok(count)) if output.status.success() => Ok(count),
        _ => Err(format!("callgrind failed on {subject:?}:\n{said}").into()),
    }
}
