use std::sync::Arc;

#[cfg(feature = "stack")]
use crate::call::Patience;
use crate::error::Error;

use super::door::Door;
use super::gate::Probe;
use super::{News, WaitForReadyPolicy};

/// The way of an attempt through the gate: what became of it is news of the channel.
pub(crate) struct Pass {
    pub(super) door: Arc<Door>,
    /// That of the channel in which the attempt went; 0 for none.
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
        if self.failed(&error) == News::NotConnected && self.hands_back {
            error.handed_back()
        } else {
            error
        }
    }

    fn test(&self) -> Option<u64> {
        self.probe.as_ref().map(|probe| probe.number)
    }

    /// The attempt failed; what that says of the channel.
    pub(super) fn failed(&mut self, error: &Error) -> News {
        let Door { gate, settings } = &*self.door;
        let news = WaitForReadyPolicy::news(&error.verdict());
        let test = self.test();
        match news {
            News::NotConnected => gate.failed(self.era, self.probe.take(), error, settings),
            News::Disconnected => gate.lost(self.era, test, settings),
            News::Connected => gate.answered(test, &settings.policy),
            News::ShutDown => gate.shut_down(self.probe.take(), error),
            News::Nothing => {}
        }
        self.probe = None;
        news
    }

    /// The server answered; what watches the connection while the answer is read.
    #[inline]
    pub(super) fn answered(self) -> Watch {
        let test = self.test();
        self.door.gate.answered(test, &self.door.settings.policy);
        Watch {
            door: self.door,
            era: self.era,
            test,
        }
    }
}

/// What tells the gate when the connection is lost while an answer is read.
#[derive(Debug)]
pub(super) struct Watch {
    door: Arc<Door>,
    /// That of the channel in which the call went.
    era: u64,
    /// The number of the test that it was, if so.
    test: Option<u64>,
}

impl Watch {
    pub(super) fn failed(&self, error: &Error) {
        self.door.broke_off(self.era, self.test, error);
    }
}
