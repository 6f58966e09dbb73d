//! The progress bar, or a line a phase where there is no terminal to draw it on.

use std::cell::Cell;
use std::io::{IsTerminal, stdout};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::Failure;

const TEMPLATE: &str = "{prefix:<34} [{bar:30}] {msg:<8} {pos:>6}/{len} calls  {elapsed}";

/// A part of a run: its name, and when it ends.
pub(crate) type Phase = (&'static str, Duration);

/// Shows one client's run.
pub(crate) struct Progress {
    bar: ProgressBar,
    phases: Vec<Phase>,
    shown: Cell<&'static str>,
    name: String,
}

impl Progress {
    pub(crate) fn start(name: String, phases: Vec<Phase>, calls: u32) -> Result<Self, Failure> {
        let style = ProgressStyle::with_template(TEMPLATE)?.progress_chars("=> ");
        let bar = ProgressBar::new(u64::from(calls))
            .with_style(style)
            .with_prefix(name.clone());
        if !stdout().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Ok(Self {
            bar,
            phases,
            shown: Cell::new(""),
            name,
        })
    }

    /// `calls` have begun so far.
    pub(crate) fn saw(&self, now: Duration, calls: u32) {
        self.bar.set_position(u64::from(calls));
        let phase = self.phases.iter().find(|(_, end)| now < *end);
        let Some(&(phase, _)) = phase else { return };
        if self.shown.replace(phase) == phase {
            return;
        }
        self.bar.set_message(phase);
        if self.bar.is_hidden() {
            eprintln!("{}: {phase}", self.name);
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.abandon_with_message("done");
    }
}
