use std::fmt;

use super::Code;

/// A set of codes, such as those that may be retried.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct CodeSet(u32);

impl CodeSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Adds a code to the set.
    #[must_use]
    pub const fn with(self, code: Code) -> Self {
        Self(self.0 | 1 << code as u8)
    }

    /// The codes of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the code is in the set.
    #[must_use]
    pub const fn contains(self, code: Code) -> bool {
        self.0 & (1 << code as u8) != 0
    }
}

impl<C: Into<Code>> FromIterator<C> for CodeSet {
    fn from_iter<I: IntoIterator<Item = C>>(codes: I) -> Self {
        codes
            .into_iter()
            .fold(Self::EMPTY, |set, code| set.with(code.into()))
    }
}

impl fmt::Debug for CodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = Code::ALL.into_iter().filter(|code| self.contains(*code));
        f.debug_set().entries(codes.map(Code::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_and_nothing_else() {
        let set: CodeSet = [Code::Ok, Code::Unauthenticated].into_iter().collect();
        for code in Code::ALL {
            let expected = matches!(code, Code::Ok | Code::Unauthenticated);
            assert_eq!(set.contains(code), expected, "{code}");
        }
        assert_eq!(
            set.union(CodeSet::EMPTY.with(Code::Aborted)).0.count_ones(),
            3
        );
    }
}
