//! What a program asserts.

use std::fmt::Display;
use std::process::ExitCode;

/// Counts the promises that hold, and collects those that do not.
///
/// Some are about times and shares, which a machine that does other work can spoil: those are
/// measured. A measured promise that does not hold is printed, and fails the program only with
/// `GRPC_RESILIENCE_STRICT` in the environment, for a machine with nothing else running.
#[derive(Debug)]
pub struct Promises {
    is_strict: bool,
    held: usize,
    broken: Vec<String>,
    missed: Vec<String>,
}

impl Default for Promises {
    fn default() -> Self {
        Self {
            is_strict: std::env::var_os("GRPC_RESILIENCE_STRICT").is_some(),
            held: 0,
            broken: Vec::new(),
            missed: Vec::new(),
        }
    }
}

impl Promises {
    /// Holds the program to a promise; `found` says what was promised and what was found instead.
    pub fn check(&mut self, holds: bool, found: impl Display) {
        if holds {
            self.held += 1;
        } else {
            println!("BROKEN: {found}");
            self.broken.push(found.to_string());
        }
    }

    /// The same for what the machine can spoil.
    pub fn measure(&mut self, holds: bool, found: impl Display) {
        if holds || self.is_strict {
            self.check(holds, found);
        } else {
            println!("MISSED: {found}");
            self.missed.push(found.to_string());
        }
    }

    /// Prints the verdict, which is the program's exit code.
    #[must_use]
    pub fn verdict(&self) -> ExitCode {
        println!();
        for missed in &self.missed {
            println!("MISSED: {missed}");
        }
        for broken in &self.broken {
            println!("BROKEN: {broken}");
        }
        let missed = self.missed.len();
        if missed > 0 {
            println!("measured and missed: {missed}; GRPC_RESILIENCE_STRICT=1 makes that fail");
        }
        println!(
            "promises: {} passed, {} failed",
            self.held,
            self.broken.len()
        );
        // Nothing checked is nothing shown.
        ExitCode::from(u8::from(self.held == 0 || !self.broken.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_promise_that_does_not_hold_is_missed_and_fails_only_where_that_is_asked_for() {
        for (is_strict, missed, broken) in [(false, 1, 0), (true, 0, 1)] {
            let mut promises = Promises {
                is_strict,
                ..Promises::default()
            };
            promises.measure(true, "holds");
            promises.measure(false, "late");
            let found = (promises.held, promises.missed.len(), promises.broken.len());
            assert_eq!(found, (1, missed, broken));
        }
    }
}
