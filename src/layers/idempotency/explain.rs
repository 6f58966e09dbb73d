use std::fmt;

use http::HeaderName;

use crate::call::Safety;
use crate::grpc::MethodKind;

/// Safety and kind that a layer declares for a method, each with its source.
///
/// Returned by [`IdempotencyLayer::explain`](super::IdempotencyLayer::explain). It shows the
/// layer's declarations only; the options of a call override them. `Display` writes one line for a
/// log or a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub(super) method: String,
    pub(super) safety: Safety,
    pub(super) source: Source,
    pub(super) kind: Option<MethodKind>,
    pub(super) kind_source: Source,
}

/// The source of a declaration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A rule for exactly this path.
    Path,
    /// The rule with this glob.
    Glob(String),
    /// The closure with this index, counted from 0 in the order of addition.
    Closure(usize),
    /// The key in this header, by which the server removes duplicates. It applies to calls that
    /// carry a key.
    Key(HeaderName),
    /// The proto, through descriptors or a table of methods.
    Proto,
    /// No source: the method is not declared.
    Undeclared,
}

impl Explanation {
    /// `/package.Service/Method`, without a prefix of the channel's origin.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Whether the method may be repeated; [`Safety::Unknown`] if not declared.
    #[must_use]
    pub fn safety(&self) -> Safety {
        self.safety
    }

    /// The source of [`safety`](Self::safety).
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The kind of the method; `None` if not declared.
    #[must_use]
    pub fn kind(&self) -> Option<MethodKind> {
        self.kind
    }

    /// The source of [`kind`](Self::kind).
    #[must_use]
    pub fn kind_source(&self) -> &Source {
        &self.kind_source
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = match self.source {
            Source::Undeclared => ':',
            _ => ',',
        };
        write!(
            f,
            "{}: {}{separator} {}",
            self.method, self.safety, self.source
        )?;
        let kind = match self.kind {
            None => return Ok(()),
            Some(MethodKind::Unary) => "unary",
            Some(MethodKind::ServerStreaming) => "server streaming",
            Some(MethodKind::ClientStreaming) => "client streaming",
            Some(MethodKind::BidiStreaming) => "bidi streaming",
        };
        write!(f, "; {kind}, {}", self.kind_source)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("by its path"),
            Self::Glob(glob) => write!(f, "by the glob {glob}"),
            Self::Closure(index) => write!(f, "by closure {index}"),
            Self::Key(header) => write!(f, "by its key in {header}"),
            Self::Proto => f.write_str("by its proto"),
            Self::Undeclared => f.write_str("not declared"),
        }
    }
}
