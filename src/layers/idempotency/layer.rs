use std::borrow::Borrow;
use std::sync::Arc;

use tower_layer::Layer;

use crate::call::{Method, Safety};
use crate::events;
use crate::grpc::MethodKind;
use crate::methods::InvalidPattern;

use super::called::Called;
use super::described::Description;
use super::{
    Explanation, Idempotency, IdempotencyKey, IdempotencyPolicy, InvalidDescriptors, descriptors,
};

/// Declares which methods may be repeated; see the [module](super).
#[derive(Clone, Debug, Default)]
pub struct IdempotencyLayer {
    policy: Arc<IdempotencyPolicy>,
    called: Arc<Called>,
}

impl IdempotencyLayer {
    /// A layer that declares nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A layer that declares what the protos say; see [`descriptors`](Self::descriptors).
    ///
    /// # Errors
    ///
    /// [`InvalidDescriptors`] if the bytes are no such set, or if it describes no method.
    pub fn from_descriptors(bytes: &[u8]) -> Result<Self, InvalidDescriptors> {
        Self::new().descriptors(bytes)
    }

    /// Adds what the protos say: the `idempotency_level` of each method, and its kind.
    ///
    /// The bytes are a serialized `google.protobuf.FileDescriptorSet`. Several sets merge.
    ///
    /// # Errors
    ///
    /// [`InvalidDescriptors`] if the bytes are no such set, if it describes no method, if it
    /// describes one in other words than what was added before, or if it describes the service of
    /// an exception made by [`not_idempotent`](Self::not_idempotent), and not its method.
    pub fn descriptors(mut self, bytes: &[u8]) -> Result<Self, InvalidDescriptors> {
        self.change().describe(descriptors::read(bytes)?)?;
        Ok(self)
    }

    /// Adds what the protos say, from a table of constants made when the service was compiled. It
    /// ranks with [`descriptors`](Self::descriptors).
    ///
    /// # Errors
    ///
    /// [`InvalidDescriptors`] if the table is empty, if a path in it is no method's, if it
    /// describes a method in other words than what was added before, or if it has the service of an
    /// exception made by [`not_idempotent`](Self::not_idempotent), and not its method.
    pub fn methods(
        mut self,
        table: impl IntoIterator<Item: Borrow<Method>>,
    ) -> Result<Self, InvalidDescriptors> {
        let methods = table.into_iter().map(|method| {
            let method = *method.borrow();
            let (kind, safety) = (method.kind(), method.safety());
            (method.path().to_owned(), Description { kind, safety })
        });
        self.change().describe(methods)?;
        Ok(self)
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
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed, and
    /// [`InvalidPattern::NoSuchMethod`] if methods are described before and none of them matches:
    /// the method that it means would stay repeatable. Add all descriptors and tables before.
    pub fn not_idempotent(self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.declare(pattern, Safety::Unknown)
    }

    /// Asks a closure about methods that no path and no glob matches; `None` passes on.
    #[must_use]
    pub fn idempotent_if<F>(mut self, rule: F) -> Self
    where
        F: Fn(&str) -> Option<Safety> + Send + Sync + 'static,
    {
        self.change().add_rule(Arc::new(rule));
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
        self.change().declare_kind(pattern, kind)?;
        Ok(self)
    }

    /// Calls of these methods carry this key; an exact path wins, then the first glob added.
    ///
    /// All attempts of a call carry the same one. What the caller put into the header stays, and counts.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
    pub fn key(mut self, pattern: &str, key: IdempotencyKey) -> Result<Self, InvalidPattern> {
        self.change().add_key(pattern, key)?;
        Ok(self)
    }

    /// What this layer declares of a method, and by whom.
    ///
    /// The [`call_options`](crate::CallOptionsExt) of a call stand above it. What has not the form
    /// `/package.Service/Method` is declared by nobody.
    #[must_use]
    pub fn explain(&self, path: &str) -> Explanation {
        self.policy.explain(path)
    }

    /// The methods whose safety nobody said, sorted, for a test or a start-up check. These are
    ///
    /// - the described ones, by descriptors or tables, of which no path, glob, closure or key and no
    ///   `idempotency_level` says anything. [`not_idempotent`](Self::not_idempotent) says something;
    ///   `IDEMPOTENCY_UNKNOWN` does not;
    /// - if any method is described: those that were called through this layer and are neither
    ///   described nor declared, nor was their call by its own options or by a layer further out.
    ///   Each is warned of once. At most 1,000 are kept; further ones are not warned of either.
    ///
    /// A layer, its clones and their services keep the called ones together; a clone that is then
    /// declared more starts with none.
    #[must_use]
    pub fn unannotated_methods(&self) -> Vec<String> {
        let mut methods = self.called.methods();
        methods.extend(self.policy.unannotated().cloned());
        methods.sort_unstable();
        methods
    }

    fn declare(mut self, pattern: &str, safety: Safety) -> Result<Self, InvalidPattern> {
        self.change().declare(pattern, safety)?;
        Ok(self)
    }

    /// Whether methods are described, and the pattern matches none of them.
    pub(crate) fn lacks(&self, pattern: &str) -> bool {
        self.policy.lacks(pattern)
    }

    /// Whether it declares nothing.
    pub(crate) fn is_silent(&self) -> bool {
        self.policy.is_silent()
    }

    /// Tells once which patterns have no effect.
    fn compare(&self) {
        self.called.compared.say(|| {
            for (glob, exception) in self.policy.overruled() {
                events::pattern_overruled(glob, exception);
            }
            for exception in self.policy.idle_exceptions() {
                events::exception_idle(exception);
            }
            for (setter, pattern) in self.policy.without_method() {
                events::pattern_without_method(setter, pattern);
            }
        });
    }

    /// What was called is the record of one set of declarations.
    fn change(&mut self) -> &mut IdempotencyPolicy {
        self.called = Arc::default();
        Arc::make_mut(&mut self.policy)
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = Idempotency<S>;

    fn layer(&self, inner: S) -> Idempotency<S> {
        self.compare();
        Idempotency::new(inner, Arc::clone(&self.policy), Arc::clone(&self.called))
    }
}
