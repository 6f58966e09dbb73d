use std::fmt;

use http::HeaderName;

use crate::call::Safety;
use crate::grpc::MethodKind;

/// What is declared of a method, and by whom.
///
/// It tells what a layer declares. A call's own option stands above all of it, and can't be seen
/// here. Its `Display` is one line for a log or a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub(super) method: String,
    pub(super) safety: Safety,
    pub(super) source: Source,
    pub(super) kind: Option<MethodKind>,
    pub(super) kind_source: Source,
}

/// Who declared something of a method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A rule for this very path.
    Path,
    /// The rule with this glob.
    Glob(String),
    /// The closure that was added as this one, from 0.
    Closure(usize),
    /// The key in this header, on which the server de-duplicates; it counts for calls that carry one.
    Key(HeaderName),
    /// The proto, through descriptors or a table of methods.
    Proto,
    /// Nobody.
    Nobody,
}

impl Explanation {
    /// `/package.Service/Method`, without a prefix of the channel's origin.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Whether the method may be repeated.
    #[must_use]
    pub fn safety(&self) -> Safety {
        self.safety
    }

    /// Who says whether it may be repeated.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The kind of the method; `None` if nobody said.
    #[must_use]
    pub fn kind(&self) -> Option<MethodKind> {
        self.kind
    }

    /// Who says which kind it is.
    #[must_use]
    pub fn kind_source(&self) -> &Source {
        &self.kind_source
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = match self.source {
            Source::Nobody => ':',
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
            Self::Nobody => f.write_str("nobody declared it"),
        }
    }
}
