//! What an address does about a connection that may be dead (CONTRACT C22).

use tokio::time::Instant;

use super::{Dial, Machine, Was};

impl Machine {
    /// A connection takes no call until it answers; one that replaces it is dialled at once,
    /// however many others there are (CONTRACT C8), but not on demand only.
    ///
    /// One that has served no call counts as a failed dial, so that a server that accepts
    /// connections and answers nothing is not dialled for ever. So does one that `is_another`:
    /// while an earlier one has not answered yet.
    pub(in crate::channel::subchannel) fn silent(
        &mut self,
        was: Was,
        is_another: bool,
        now: Instant,
        unit: f64,
    ) -> Option<Instant> {
        // What was dialled after it is between it and the next dial (CONTRACT C3).
        let is_newest = self.last_dial.is_none_or(|last| last <= was.ready_since);
        let has_served = was.has_served && is_newest;
        let is_proven = was.is_proven(now) && !is_another;
        let at = self.leaves(has_served, is_proven, now, unit);
        if self.ready == 0 {
            self.is_failing |= self.failures > 1;
        }
        let is_free = match self.dial {
            Dial::None => !self.is_on_demand,
            Dial::Planned(later) => at < later,
            Dial::Running => false,
        };
        self.plan_if(is_free, at)
    }

    /// It has answered, and takes calls again. A dial that has not begun is not wanted any more.
    pub(in crate::channel::subchannel) fn answers(&mut self) {
        self.ready += 1;
        self.is_failing = false;
        if matches!(self.dial, Dial::Planned(_)) && !self.is_renewing {
            self.dial = Dial::None;
        }
    }
}
