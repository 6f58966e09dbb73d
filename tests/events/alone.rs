//! Some events come once in the life of a process: a test of one runs in a process of its own.

use std::process::Command;

use crate::support::{Ear, Heard};

const ALONE: &str = "GRPC_RESILIENCE_ALONE";

/// Runs the test of this name, such as `options::a_test`, in a process where no other test runs.
/// What that one does: true in that process.
pub(crate) fn is_alone(name: &str) -> bool {
    if std::env::var(ALONE).is_ok_and(|it| it == name) {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args([name, "--exact", "--nocapture"])
        .env(ALONE, name)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let erred = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} alone:\n{said}\n{erred}");
    assert!(said.contains("1 passed"), "{name} is no test:\n{said}");
    false
}

/// The options of which it was said that their layer is missing, with that layer.
pub(crate) fn missing(ear: &Ear) -> Vec<[String; 2]> {
    let heard = ear.take();
    let of_options = heard.iter().filter(|it| !it.get("option").is_empty());
    let pair = |it: &Heard| it.of(["option", "layer"]).map(str::to_owned);
    of_options.map(pair).collect()
}
