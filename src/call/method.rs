use crate::grpc::MethodKind;

use super::Safety;

/// A method as its proto describes it, for tables that are made when a service is compiled.
///
/// A misspelt constant of such a table does not compile, where a misspelt path matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Method {
    path: &'static str,
    kind: MethodKind,
    safety: Safety,
}

impl Method {
    /// The method `/package.Service/Method`, of this kind, with the safety that its
    /// `idempotency_level` declares.
    #[must_use]
    pub const fn new(path: &'static str, kind: MethodKind, safety: Safety) -> Self {
        Self { path, kind, safety }
    }

    /// `/package.Service/Method`.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.path
    }

    /// Which side sends how many messages.
    #[must_use]
    pub const fn kind(self) -> MethodKind {
        self.kind
    }

    /// What the proto declares; [`Safety::Unknown`] if it declares nothing.
    #[must_use]
    pub const fn safety(self) -> Safety {
        self.safety
    }
}
