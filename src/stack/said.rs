use std::num::NonZero;
use std::sync::Arc;

use http::Uri;

use crate::call::{Context, WaitMode};
use crate::error::Error;
use crate::grpc::MethodKind;
use crate::kernel::timer::Home;
use crate::layers::retry::{Completion, Policy};
use crate::ready::{Gate, Ticket};

/// What the layers say of an ordinary call before it begins, and are told when it ends.
///
/// The calls of a method share it.
#[derive(Debug)]
pub(super) struct Said {
    /// Read for calls whose URI is the path alone; what goes of another keeps its own.
    pub(super) uri: Uri,
    /// What the first attempt carries, but for the deadline.
    pub(super) context: Context,
    /// Whether the budget is still to be told that such a call begins.
    pub(super) pays_in: bool,
    pub(super) policy: Arc<dyn Policy>,
    pub(super) gate: Arc<Gate>,
    pub(super) wait_mode: WaitMode,
    /// Where timers come from.
    pub(super) home: Home,
}

impl Said {
    /// The same, with counters of its own.
    pub(super) fn apart(&self) -> Self {
        Self {
            uri: self.uri.clone(),
            context: self.context.unshared(),
            pays_in: self.pays_in,
            policy: Arc::clone(&self.policy),
            gate: Arc::clone(&self.gate),
            wait_mode: self.wait_mode,
            home: self.home.clone(),
        }
    }

    /// Whether the head of its answer is held until the first frame.
    pub(super) fn answers_once(&self) -> bool {
        self.context.kind().is_some_and(MethodKind::answers_once)
    }

    /// The way of its first attempt through the gate.
    pub(super) fn ticket(&self, generation: NonZero<u64>) -> Ticket {
        Ticket::under_way(&self.gate, generation.get(), self.wait_mode)
    }

    /// It begins.
    #[inline]
    pub(super) fn began(&self) {
        if let (true, Some(budget)) = (self.pays_in, self.context.budget()) {
            budget.call_started();
        }
    }

    /// It ended with OK.
    #[inline]
    pub(super) fn succeeded(&self) {
        if let Some(budget) = self.context.budget() {
            budget.succeeded();
        }
    }

    /// What the retry layer would hold of it once it is answered.
    #[cold]
    pub(super) fn committed(&self) -> Completion {
        let policy = Some(Arc::clone(&self.policy));
        Completion::new(policy, &mut self.context.clone(), 1)
    }

    /// Its answer broke off, in this era of the channel.
    #[cold]
    pub(super) fn broke_off(&self, generation: Option<NonZero<u64>>, error: Error) -> Error {
        if let Some(generation) = generation {
            self.gate.broke_off(generation.get(), &error);
        }
        self.committed().broke_off(error)
    }
}
