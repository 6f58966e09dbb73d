use std::fmt;
use std::time::Duration;

use crate::classify::{Endpoint, Verdict};

/// A failed attempt of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedAttempt {
    /// The attempt's number, from 1; a transparent retry has the number of the attempt that it
    /// repeats.
    pub number: u32,
    /// Whether it was a transparent retry.
    pub transparent: bool,
    /// The classification of its failure.
    pub verdict: Verdict,
    /// When it began, counted from the start of the call.
    pub began: Duration,
    /// How long it lasted.
    pub took: Duration,
    /// The endpoint that had it or answered it, if the channel below reports endpoints.
    pub endpoint: Option<Endpoint>,
}

impl fmt::Display for FailedAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = if self.transparent { " once more" } else { "" };
        let Verdict { code, reason, .. } = self.verdict;
        write!(f, "attempt {}{again}", self.number)?;
        if let Some(endpoint) = &self.endpoint {
            write!(f, " at {endpoint}")?;
        }
        write!(f, ": {code} ({reason}) after {:.1?}", self.took)
    }
}
