use std::sync::Arc;

#[cfg(feature = "stack")]
use crate::call::Patience;
use crate::classify::{Progress, Reason, Verdict};
use crate::error::Error;

use super::door::{Door, end_of};
use super::gate::Probe;
use super::{News, WaitForReadyPolicy};

/// The way of an attempt through the gate: what became of it is news of the channel.
pub(crate) struct Pass {
    pub(super) door: Arc<Door>,
    /// The number of the test that let the attempt go; 0 for none.
    pub(super) era: u64,
    /// If it tests the channel.
    pub(super) probe: Option<Probe>,
    /// A layer above keeps the request and sends it once more.
    hands_back: bool,
}

impl Pass {
    pub(super) fn new(door: &Arc<Door>, era: u64) -> Self {
        Self {
            door: Arc::clone(door),
            era,
            probe: None,
            hands_back: false,
        }
    }

    /// That of a call that was sent already, whose request is kept above.
    #[cfg(feature = "stack")]
    pub(crate) fn under_way(door: &Arc<Door>, era: u64, patience: Patience) -> Self {
        Self::new(door, era).handing_back(patience == Patience::WaitForReady)
    }

    /// Whether the request is kept above, and goes there if it was not sent.
    pub(super) fn handing_back(self, hands_back: bool) -> Self {
        Self { hands_back, ..self }
    }

    /// The attempt of a call that does not wait here failed: its error.
    pub(super) fn end(&mut self, error: Error) -> Error {
        if self.failed(&error, 1) == News::NotConnected && self.hands_back {
            error.handed_back()
        } else {
            error
        }
    }

    /// The number of the test that it is, or of the one that let it go.
    fn number(&self) -> u64 {
        self.probe.as_ref().map_or(self.era, |probe| probe.number)
    }

    /// The attempt failed, the `own`-th in a row of its call; what that says of the channel.
    pub(super) fn failed(&mut self, error: &Error, own: u32) -> News {
        let Door { gate, settings } = &*self.door;
        let verdict = error.verdict();
        let news = WaitForReadyPolicy::news(&verdict);
        let (number, probe) = (self.number(), self.probe.take());
        if error.is_proven() {
            // The channel answers for its own readiness: the gate stays open.
            gate.answered(number, &settings.policy);
            return if is_not_connected(&verdict) {
                News::NotConnected
            } else {
                News::Nothing
            };
        }
        match news {
            News::NotConnected => gate.failed(number, probe, own, error, settings),
            News::Disconnected => gate.lost(number, end_of(&verdict), error, settings),
            News::Connected => gate.answered(number, &settings.policy),
            News::ShutDown => gate.shut_down(probe, error),
            News::Nothing => {}
        }
        news
    }

    /// The server answered; what watches the connection while the answer is read.
    #[inline]
    pub(super) fn answered(self) -> Watch {
        let number = self.number();
        let Door { gate, settings } = &*self.door;
        gate.answered(number, &settings.policy);
        Watch {
            door: self.door,
            number,
        }
    }
}

/// Whether a channel that answers for its own readiness had no connection, or no stream.
fn is_not_connected(verdict: &Verdict) -> bool {
    verdict.progress == Progress::NotSent
        && matches!(verdict.reason, Reason::ConnectFailed | Reason::NotReady)
}

/// What tells the gate when the connection is lost while an answer is read.
#[derive(Debug)]
pub(super) struct Watch {
    door: Arc<Door>,
    number: u64,
}

impl Watch {
    pub(super) fn failed(&self, error: &Error) {
        self.door.broke_off(self.number, error);
    }
}
