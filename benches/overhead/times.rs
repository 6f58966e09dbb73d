//! Nanoseconds of a call, by the clock, in a process without the allocator that counts.

use std::collections::BTreeMap;
use std::process::Command;

use benches::{Answering, Failure};

const SUBJECT: &str = env!("CARGO_BIN_EXE_overhead-subject");

/// By subject: those of the bare service, and of the others on top of it.
pub(crate) fn all(answering: Answering) -> Result<BTreeMap<String, f64>, Failure> {
    let later = (answering == Answering::Later).to_string();
    let output = Command::new(SUBJECT).args(["times", &later]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
