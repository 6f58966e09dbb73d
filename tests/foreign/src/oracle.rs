//! What the servers logged: how often each call began.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::Failure;
use crate::load::CallId;
use crate::tally::Tally;

/// How often the handlers of a server began each call.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    begun: HashMap<CallId, u32>,
    connections: HashSet<String>,
}

impl Oracle {
    /// Reads a server's log: a line for each call, written as its handler begins.
    ///
    /// It holds the call's id and, if the server knows it, a space and the client's address.
    ///
    /// # Errors
    ///
    /// If the log cannot be read, or a line is no id.
    pub fn read(log: &Path) -> Result<Self, Failure> {
        Self::parse(&std::fs::read_to_string(log)?)
    }

    /// Parses the text of such a log.
    ///
    /// # Errors
    ///
    /// If a line is no id.
    pub fn parse(log: &str) -> Result<Self, Failure> {
        let mut oracle = Self::default();
        for line in log.lines() {
            let (id, from) = line.split_once(' ').unwrap_or((line, ""));
            let id = id.parse().map_err(|_| format!("no call id: {line:?}"))?;
            *oracle.begun.entry(CallId(id)).or_default() += 1;
            if !oracle.connections.contains(from) {
                oracle.connections.insert(from.to_owned());
            }
        }
        Ok(oracle)
    }

    /// How often this call began.
    #[must_use]
    pub fn begun(&self, id: CallId) -> u32 {
        self.begun.get(&id).copied().unwrap_or(0)
    }

    /// How many connections the calls came over, as far as the server logged that.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The calls of the tally that began more than once.
    #[must_use]
    pub fn twice(&self, tally: &Tally) -> Vec<CallId> {
        let ids = tally.records().iter().map(|it| it.id);
        ids.filter(|&id| self.begun(id) > 1).collect()
    }

    /// The calls of the tally that succeeded without a beginning in the log.
    ///
    /// If there are any, the log is not whole.
    #[must_use]
    pub fn unseen(&self, tally: &Tally) -> Vec<CallId> {
        let good = tally.records().iter().filter(|it| it.failure.is_none());
        good.map(|it| it.id)
            .filter(|&id| self.begun(id) == 0)
            .collect()
    }
}

/// From the ids that handlers began, in any order.
impl FromIterator<CallId> for Oracle {
    fn from_iter<T: IntoIterator<Item = CallId>>(ids: T) -> Self {
        let mut oracle = Self::default();
        for id in ids {
            *oracle.begun.entry(id).or_default() += 1;
        }
        oracle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_how_often_a_call_began() -> Result<(), Failure> {
        let oracle = Oracle::parse("7 a:1\n8 a:1\n7 a:2\n")?;
        assert_eq!([7, 8, 9].map(|it| oracle.begun(CallId(it))), [2, 1, 0]);
        assert_eq!(oracle.connections(), 2);
        Ok(())
    }

    #[test]
    fn refuses_a_line_that_is_no_id() {
        assert!(Oracle::parse("7\n8x\n").is_err());
    }
}
