use std::num::NonZero;
use std::sync::Arc;

use http::Uri;

use crate::call::{Context, Patience};
use crate::error::Error;
use crate::grpc::MethodKind;
use crate::kernel::timer::Home;
use crate::layers::retry::{Committed, Policy};
use crate::ready::{Door, Pass};

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
    pub(super) door: Arc<Door>,
    pub(super) patience: Patience,
    /// Where timers come from.
    pub(super) home: Home,
}

impl Said {
    /// The same, with counters of its own.
    pub(super) fn apart(&self) -> Self {
        Self {
            uri: self.uri.clone(),
            context: self.context.apart(),
            pays_in: self.pays_in,
            policy: Arc::clone(&self.policy),
            door: Arc::clone(&self.door),
            patience: self.patience,
            home: self.home.clone(),
        }
    }

    /// Whether the head of its answer is held until the first frame.
    pub(super) fn answers_once(&self) -> bool {
        self.context.kind().is_some_and(MethodKind::answers_once)
    }

    /// The way of its first attempt through the gate.
    pub(super) fn pass(&self, era: NonZero<u64>) -> Pass {
        Pass::under_way(&self.door, era.get(), self.patience)
    }

    /// It begins.
    #[inline]
    pub(super) fn began(&self) {
        if let (true, Some(budget)) = (self.pays_in, self.context.budget()) {
            budget.began();
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
    pub(super) fn committed(&self) -> Committed {
        let policy = Some(Arc::clone(&self.policy));
        Committed::new(policy, &mut self.context.clone(), 1)
    }

    /// Its answer broke off, in this era of the channel.
    #[cold]
    pub(super) fn broke_off(&self, era: Option<NonZero<u64>>, error: Error) -> Error {
        if let Some(era) = era {
            self.door.broke_off(era.get(), &error);
        }
        self.committed().broke_off(error)
    }
}
