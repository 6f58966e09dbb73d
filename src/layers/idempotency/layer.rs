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

    /// A layer with the declarations of the protos; see [`descriptors`](Self::descriptors).
    ///
    /// # Errors
    ///
    /// [`InvalidDescriptors`] if the bytes are not such a set, or if it contains no method.
    pub fn from_descriptors(bytes: &[u8]) -> Result<Self, InvalidDescriptors> {
        Self::new().descriptors(bytes)
    }

    /// Adds the declarations of the protos: `idempotency_level` and kind of each method.
    ///
    /// `bytes` is a serialized `google.protobuf.FileDescriptorSet`. Several sets merge.
    ///
    /// # Errors
    ///
    /// [`InvalidDescriptors`] if the bytes are not such a set, if it contains no method, if it
    /// describes a method differently from an earlier set or table, or if it describes the service
    /// of an earlier [`not_idempotent`](Self::not_idempotent) pattern, but no method that the
    /// pattern matches.
    pub fn descriptors(mut self, bytes: &[u8]) -> Result<Self, InvalidDescriptors> {
        self.change().describe(descriptors::read(bytes)?)?;
        Ok(self)
    }

    /// Adds the declarations of the protos from a table of constants, generated at build time. Its
    /// precedence is that of [`descriptors`](Self::descriptors).
    ///
    /// # Errors
    ///
    /// [`InvalidDescriptors`] if the table is empty, if a path in it is not a method path, if it
    /// describes a method differently from an earlier set or table, or if it describes the service
    /// of an earlier [`not_idempotent`](Self::not_idempotent) pattern, but no method that the
    /// pattern matches.
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

    /// Declares that several calls of these methods have the effect of one call.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method path or its glob is malformed.
    pub fn idempotent(self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.declare(pattern, Safety::Idempotent)
    }

    /// Declares that calls of these methods have no side effects.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method path or its glob is malformed.
    pub fn no_side_effects(self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.declare(pattern, Safety::NoSideEffects)
    }

    /// Declares an exception from a wider glob: these methods must not be repeated.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method path or its glob is malformed, and
    /// [`InvalidPattern::NoSuchMethod`] if earlier descriptors or tables describe methods and the
    /// pattern matches none of them: the intended method would stay repeatable. Add all
    /// descriptors and tables first.
    pub fn not_idempotent(self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.declare(pattern, Safety::Unknown)
    }

    /// Adds a closure for methods that no path and no glob matches. `None` leaves the method to the
    /// next closure, then to a key or the proto.
    #[must_use]
    pub fn idempotent_if<F>(mut self, rule: F) -> Self
    where
        F: Fn(&str) -> Option<Safety> + Send + Sync + 'static,
    {
        self.change().add_rule(Arc::new(rule));
        self
    }

    /// Declares these methods unary: one response message. The layers then retry a status in
    /// trailers too.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method path or its glob is malformed.
    pub fn unary(self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.kind(pattern, MethodKind::Unary)
    }

    /// Declares the kind of these methods.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method path or its glob is malformed.
    pub fn kind(mut self, pattern: &str, kind: MethodKind) -> Result<Self, InvalidPattern> {
        self.change().declare_kind(pattern, kind)?;
        Ok(self)
    }

    /// Adds this key to calls of these methods. An exact path wins, then the first glob added.
    ///
    /// All attempts of a call carry one value. A value that the caller put into the header stays
    /// and is the key.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method path or its glob is malformed.
    pub fn key(mut self, pattern: &str, key: IdempotencyKey) -> Result<Self, InvalidPattern> {
        self.change().add_key(pattern, key)?;
        Ok(self)
    }

    /// Safety and kind that this layer declares for a method, each with its source.
    ///
    /// The [`call_options`](crate::CallOptionsExt) of a call override them. A text that is not of
    /// the form `/package.Service/Method` has no declaration.
    #[must_use]
    pub fn explain(&self, path: &str) -> Explanation {
        self.policy.explain(path)
    }

    /// The methods without a declared safety, sorted, for a test or a start-up check. These are
    ///
    /// - methods in descriptors or tables without a path, glob, closure, key or
    ///   `idempotency_level`. [`not_idempotent`](Self::not_idempotent) is a declaration;
    ///   `IDEMPOTENCY_UNKNOWN` is not;
    /// - if any method is described: methods that were called through this layer, are neither
    ///   described nor declared, and whose call was not declared by its own options or by an outer
    ///   layer. Each causes one WARN event. At most 1,000 are kept; further ones cause no event.
    ///
    /// A layer, its clones and their services share the record of called methods. A clone to which
    /// declarations are added starts with an empty record.
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

    /// Whether methods are described and the pattern matches none of them.
    pub(crate) fn lacks(&self, pattern: &str) -> bool {
        self.policy.lacks(pattern)
    }

    /// Whether the layer declares nothing.
    pub(crate) fn is_silent(&self) -> bool {
        self.policy.is_silent()
    }

    /// Warns once about each pattern without effect.
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

    /// Starts a new record of called methods: a record belongs to one set of declarations.
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
