use std::sync::Arc;

use tower_layer::Layer;

use crate::call::Safety;
use crate::grpc::MethodKind;

use super::{Idempotency, IdempotencyPolicy, InvalidPattern};

/// Declares which methods may be repeated; see the [module](super).
#[derive(Clone, Debug, Default)]
pub struct IdempotencyLayer {
    policy: Arc<IdempotencyPolicy>,
}

impl IdempotencyLayer {
    /// A layer that declares nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Several calls of these methods have the effect of one.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
    pub fn idempotent(self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.declare(pattern, Safety::Idempotent)
    }

    /// Calls of these methods change nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
    pub fn no_side_effects(self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.declare(pattern, Safety::NoSideEffects)
    }

    /// An exception from a wider glob: these methods are not to be repeated.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
    pub fn not_idempotent(self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.declare(pattern, Safety::Unknown)
    }

    /// Asks a closure about methods that no path and no glob matches; `None` passes on.
    #[must_use]
    pub fn by<F>(mut self, rule: F) -> Self
    where
        F: Fn(&str) -> Option<Safety> + Send + Sync + 'static,
    {
        Arc::make_mut(&mut self.policy).add_rule(Arc::new(rule));
        self
    }

    /// These methods answer with one message, so that a status in trailers can be retried too.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
    pub fn unary(self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.kind(pattern, MethodKind::Unary)
    }

    /// These methods are of this kind.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
    pub fn kind(mut self, pattern: &str, kind: MethodKind) -> Result<Self, InvalidPattern> {
        Arc::make_mut(&mut self.policy).declare_kind(pattern, kind)?;
        Ok(self)
    }

    fn declare(mut self, pattern: &str, safety: Safety) -> Result<Self, InvalidPattern> {
        Arc::make_mut(&mut self.policy).declare(pattern, safety)?;
        Ok(self)
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = Idempotency<S>;

    fn layer(&self, inner: S) -> Idempotency<S> {
        Idempotency::new(inner, Arc::clone(&self.policy))
    }
}
