use crate::grpc::MethodKind;

use super::Safety;

/// A method as its proto describes it, for tables that are generated when a service is compiled.
///
/// A misspelt constant of such a table does not compile, whereas a misspelt path matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Method {
    path: &'static str,
    kind: MethodKind,
    safety: Safety,
}

impl Method {
    /// Creates the method `/package.Service/Method` of this kind. `safety` is the
    /// `idempotency_level` that its proto declares.
    #[must_use]
    pub const fn new(path: &'static str, kind: MethodKind, safety: Safety) -> Self {
        Self { path, kind, safety }
    }

    /// `/package.Service/Method`.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.path
    }

    /// The kind of the method: which side sends how many messages.
    #[must_use]
    pub const fn kind(self) -> MethodKind {
        self.kind
    }

    /// The safety that the proto declares; [`Safety::Unknown`] without a declaration.
    #[must_use]
    pub const fn safety(self) -> Safety {
        self.safety
    }
}
