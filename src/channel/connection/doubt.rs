//! Calls that time out on a connection raise a doubt, and its answer ends it (CONTRACT C22).

use tokio::time::Instant;

use super::shared::Connection;
use crate::channel::eject::Blame;

impl Connection {
    /// An attempt that began then timed out here; what ejection takes that for now.
    ///
    /// While the connection is taken for dead that is open: it is the endpoint's fault if the
    /// connection answers. Else the connection was lost, and however many calls were on it, that is
    /// one loss (CONTRACT O2).
    #[cold]
    pub(crate) fn timed_out(&self, began: Instant) -> Blame {
        let Some(pinger) = &self.pinger else {
            return Blame::Both;
        };
        let mut pinger = pinger.lock();
        if self.stance.is_silent() {
            pinger.silence().defer();
            return Blame::None;
        }
        if pinger.timed_out(began, Instant::now(), self.facts.heard()) && self.stance.doubt() {
            self.cell.wake();
        }
        Blame::Both
    }

    /// It takes no call until it answers.
    pub(crate) fn is_silent(&self) -> bool {
        self.stance.is_silent()
    }

    /// It takes no call any more, whatever it says.
    pub(super) fn is_leaving(&self) -> bool {
        self.stance.is_retired() || self.facts.is_broken() || self.facts.go_away().is_some()
    }

    /// It takes calls again, if it was taken for dead.
    pub(super) fn answers(&self) {
        let Some(pinger) = &self.pinger else {
            return;
        };
        let mut pinger = pinger.lock();
        self.stance.trust();
        let timeouts = pinger.silence().end();
        drop(pinger);
        if let Some(tally) = self.load.tally() {
            let now = self.load.now();
            for _ in 0..timeouts {
                tally.failed(now, Blame::Both);
            }
        }
    }

    /// How many attempts timed out since it said anything.
    pub(crate) fn timeouts(&self) -> u32 {
        let pinger = self.pinger.as_ref();
        pinger.map_or(0, |it| it.lock().silence().timeouts())
    }
}
