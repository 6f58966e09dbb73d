use std::sync::Arc;

use http::Extensions;

use crate::body::Captured;
use crate::grpc::MethodKind;

use super::{Budget, CallOptions, Deadline, Safety, Trace};

/// The request extension through which layers speak to each other; see the [module](super).
///
/// A layer of your own reads it with `request.extensions().get::<Context>()` and writes it through
/// [`Context::of`].
#[derive(Clone, Debug, Default)]
pub struct Context {
    options: CallOptions,
    deadline: Option<Deadline>,
    safety: Option<Safety>,
    kind: Option<MethodKind>,
    budget: Option<Arc<dyn Budget>>,
    attempt: Option<u32>,
    captured: Option<Captured>,
    trace: Option<Trace>,
}

impl Context {
    /// The context of a request, put there if it has none.
    pub fn of(extensions: &mut Extensions) -> &mut Self {
        extensions.get_or_insert_default()
    }

    /// The caller's options.
    #[must_use]
    pub fn options(&self) -> &CallOptions {
        &self.options
    }

    pub(super) fn options_mut(&mut self) -> &mut CallOptions {
        &mut self.options
    }

    /// When the call ends.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// Bounds the call; an earlier deadline stays.
    pub fn bound(&mut self, deadline: Deadline) {
        self.deadline = Some(match self.deadline {
            Some(earlier) => earlier.earliest(deadline),
            None => deadline,
        });
    }

    /// Whether the call may be repeated: the caller's word, then what was declared.
    #[must_use]
    pub fn safety(&self) -> Safety {
        self.stated_safety().unwrap_or_default()
    }

    /// The same; `None` if neither the caller nor a declaration said anything.
    #[must_use]
    pub fn stated_safety(&self) -> Option<Safety> {
        self.options.chosen_safety().or(self.safety)
    }

    /// Declares the method; a declaration made further out stays.
    pub fn declare(&mut self, safety: Safety) {
        self.safety.get_or_insert(safety);
    }

    /// The kind of the method: the caller's word, then what was declared.
    #[must_use]
    pub fn kind(&self) -> Option<MethodKind> {
        self.options.chosen_kind().or(self.kind)
    }

    /// Declares the kind of the method; a declaration made further out stays.
    pub fn declare_kind(&mut self, kind: MethodKind) {
        self.kind.get_or_insert(kind);
    }

    /// The budget that bounds extra attempts.
    #[must_use]
    pub fn budget(&self) -> Option<&Arc<dyn Budget>> {
        self.budget.as_ref()
    }

    /// Sets the budget.
    pub fn charge(&mut self, budget: Arc<dyn Budget>) {
        self.budget = Some(budget);
    }

    /// The number of the attempt that this request is, from 1; `None` above a retry layer.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        self.attempt
    }

    pub(crate) fn number(&mut self, attempt: u32) {
        self.attempt = Some(attempt);
    }

    /// The request as a layer further out captured it.
    #[must_use]
    pub fn captured(&self) -> Option<&Captured> {
        self.captured.as_ref()
    }

    /// Shares a captured request with the layers below.
    pub fn share(&mut self, captured: Captured) {
        self.captured = Some(captured);
    }

    /// Where to write what happens to the call.
    #[must_use]
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// Listens to what happens to the call; a listener further out is shared.
    pub fn listen(&mut self) -> Trace {
        self.trace.get_or_insert_default().clone()
    }
}
