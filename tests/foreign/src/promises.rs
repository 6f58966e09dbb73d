//! What a program asserts.

use std::fmt::Display;
use std::process::ExitCode;

/// Counts the promises that hold, and collects those that do not.
#[derive(Debug, Default)]
pub struct Promises {
    held: usize,
    broken: Vec<String>,
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

    /// Prints the verdict, which is the program's exit code.
    #[must_use]
    pub fn verdict(&self) -> ExitCode {
        println!();
        for broken in &self.broken {
            println!("BROKEN: {broken}");
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
