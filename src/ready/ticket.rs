use std::sync::Arc;

use crate::call::WaitMode;
use crate::classify::{Progress, Reason, Verdict};
use crate::error::Error;

use super::gate::{Gate, end_of};
use super::gate_state::Probe;
use super::{Evidence, WaitForReadyPolicy};

/// One attempt's way through the gate. Its result is evidence about the channel.
pub(crate) struct Ticket {
    pub(crate) gate: Arc<Gate>,
    /// The number of the probe that let the attempt go; 0 for none.
    pub(crate) generation: u64,
    /// Set if the attempt probes the channel.
    pub(crate) probe: Option<Probe>,
    /// A layer above keeps the request and sends it again.
    hands_back: bool,
}

impl Ticket {
    pub(crate) fn new(gate: &Arc<Gate>, generation: u64) -> Self {
        Self {
            gate: Arc::clone(gate),
            generation,
            probe: None,
            hands_back: false,
        }
    }

    /// The ticket of a call that was already sent and whose request is kept above.
    pub(crate) fn under_way(gate: &Arc<Gate>, generation: u64, wait_mode: WaitMode) -> Self {
        Self::new(gate, generation).handing_back(wait_mode == WaitMode::WaitForReady)
    }

    /// Sets whether the request is kept above and returned there if it was not sent.
    pub(crate) fn handing_back(self, hands_back: bool) -> Self {
        Self { hands_back, ..self }
    }

    /// Converts the error of a failed attempt of a call that does not wait here.
    pub(crate) fn end(&mut self, error: Error) -> Error {
        let error = self.hinted(error);
        if self.failed(&error, 1) == Evidence::NotConnected && self.hands_back {
            error.handed_back()
        } else {
            error
        }
    }

    /// Its own number if it is a probe, else the number of the probe that let it go.
    fn number(&self) -> u64 {
        self.probe
            .as_ref()
            .map_or(self.generation, |probe| probe.number)
    }

    /// Adds a hint to the failure while the channel has answered no call.
    pub(crate) fn hinted(&self, error: Error) -> Error {
        if self.gate.state.read(|shared| shared.channel.has_answered) {
            return error;
        }
        error.before_any_answer()
    }

    /// The channel below answers for its own readiness: calls go there without asking.
    #[cold]
    pub(crate) fn stand_idle(&mut self) {
        let Gate { state, settings } = &*self.gate;
        self.generation = self.number();
        self.probe = None;
        state.leave_wait();
        state.answered(self.generation, &settings.policy);
    }

    /// Records that the attempt failed, the `own`-th time in a row for its call. Returns the
    /// evidence.
    pub(crate) fn failed(&mut self, error: &Error, own: u32) -> Evidence {
        let Gate { state, settings } = &*self.gate;
        let verdict = error.verdict();
        let evidence = WaitForReadyPolicy::evidence(&verdict);
        let (number, probe) = (self.number(), self.probe.take());
        if error.is_proven() {
            // The channel answers for its own readiness: the gate stays open.
            state.leave_wait();
            state.answered(number, &settings.policy);
            return if is_not_connected(&verdict) {
                Evidence::NotConnected
            } else {
                Evidence::Nothing
            };
        }
        match evidence {
            Evidence::NotConnected => state.failed(number, probe, own, error, settings),
            Evidence::Disconnected => state.lost(number, end_of(&verdict), error, settings),
            Evidence::Connected => state.answered(number, &settings.policy),
            Evidence::ShutDown => state.shut_down(probe, error),
            Evidence::Nothing => {}
        }
        evidence
    }

    /// Records the server's answer. Returns a watch on the connection while the answer is read.
    #[inline]
    pub(crate) fn answered(self) -> ConnectionWatch {
        let number = self.number();
        let Gate { state, settings } = &*self.gate;
        state.answered(number, &settings.policy);
        ConnectionWatch {
            gate: self.gate,
            number,
        }
    }
}

/// Whether a channel that reports its own readiness had no connection, or no stream.
fn is_not_connected(verdict: &Verdict) -> bool {
    verdict.progress == Progress::NotSent
        && matches!(verdict.reason, Reason::ConnectFailed | Reason::NotReady)
}

/// Reports a lost connection to the gate while an answer is read.
#[derive(Debug)]
pub(crate) struct ConnectionWatch {
    gate: Arc<Gate>,
    number: u64,
}

impl ConnectionWatch {
    pub(crate) fn failed(&self, error: &Error) {
        self.gate.broke_off(self.number, error);
    }
}
