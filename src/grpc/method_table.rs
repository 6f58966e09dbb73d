use rustc_hash::FxHashMap;

use super::glob::Glob;
use super::path::is_method;

/// A method pattern that can match nothing: said at construction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPattern {
    /// It has not the form of a method's path.
    #[error("{0:?} is no method: write /package.Service/Method, with globs if you like")]
    NotAMethod(String),
    /// Its glob is malformed.
    #[error("{pattern:?} is a malformed glob: {reason}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What is said of methods, by exact path or by glob.
#[derive(Clone, Debug)]
pub(crate) struct MethodTable<T> {
    /// Its keys are configured, so nobody can choose them to collide.
    exact: FxHashMap<String, T>,
    globs: Vec<(Glob, T)>,
}

impl<T> Default for MethodTable<T> {
    fn default() -> Self {
        Self {
            exact: FxHashMap::default(),
            globs: Vec::new(),
        }
    }
}

impl<T> MethodTable<T> {
    pub(crate) fn add(&mut self, pattern: &str, value: T) -> Result<(), InvalidPattern> {
        // The one pattern without a second segment stands for every method.
        if pattern != "/**" && !is_method(pattern) {
            return Err(InvalidPattern::NotAMethod(pattern.to_owned()));
        }
        if !pattern.contains(['*', '?', '[']) {
            self.exact.insert(pattern.to_owned(), value);
            return Ok(());
        }
        let glob = Glob::new(pattern).map_err(|reason| InvalidPattern::Glob {
            pattern: pattern.to_owned(),
            reason: reason.to_owned(),
        })?;
        self.globs.push((glob, value));
        Ok(())
    }

    /// The same, in the place of what was said by an equal pattern.
    #[cfg(any(
        feature = "budget",
        feature = "rate-limit",
        feature = "retry",
        feature = "wait-for-ready"
    ))]
    pub(crate) fn replace(&mut self, pattern: &str, value: T) -> Result<(), InvalidPattern> {
        self.add(pattern, value)?;
        let equal = |(glob, _): &(Glob, T)| glob.as_str() == pattern;
        if let Some(first) = self.globs.iter().position(equal)
            && first + 1 < self.globs.len()
        {
            self.globs.swap_remove(first);
        }
        Ok(())
    }

    /// What is said of this very path.
    pub(crate) fn exact(&self, method: &str) -> Option<&T> {
        // Without keys there is nothing to hash for.
        if self.exact.is_empty() {
            return None;
        }
        self.exact.get(method)
    }

    /// The globs that match and what they say, in the order in which they were added.
    pub(crate) fn globs(&self, method: &str) -> impl Iterator<Item = (&str, &T)> {
        self.globs
            .iter()
            .filter(move |(glob, _)| glob.matches(method))
            .map(|(glob, value)| (glob.as_str(), value))
    }

    /// All patterns and what is said by them, in no order.
    #[cfg(feature = "budget")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let exact = self.exact.iter().map(|(path, value)| (&**path, value));
        let globs = self
            .globs
            .iter()
            .map(|(glob, value)| (glob.as_str(), value));
        exact.chain(globs)
    }

    /// What is said of the method of this path, which may have a prefix.
    #[cfg(any(
        feature = "budget",
        feature = "idempotency",
        feature = "retry",
        feature = "wait-for-ready"
    ))]
    pub(crate) fn find_path(&self, path: &str) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        self.find(super::path::method_of(path))
    }

    #[cfg(any(
        feature = "budget",
        feature = "idempotency",
        feature = "retry",
        feature = "wait-for-ready"
    ))]
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.globs.is_empty()
    }

    /// The exact path's word, then the first glob's.
    pub(crate) fn find(&self, method: &str) -> Option<&T> {
        let by_glob = || self.globs(method).next().map(|(_, value)| value);
        self.exact(method).or_else(by_glob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_path_beats_a_glob_and_the_first_glob_wins() {
        let mut table = MethodTable::default();
        table.add("/a.A/Get*", 1).unwrap();
        table.add("/a.A/*", 2).unwrap();
        table.add("/a.A/GetOne", 3).unwrap();
        assert_eq!(table.find("/a.A/GetOne"), Some(&3));
        assert_eq!(table.find("/a.A/GetTwo"), Some(&1));
        assert_eq!(table.find("/a.A/Put"), Some(&2));
        assert_eq!(table.find("/b.B/Put"), None);
    }

    #[cfg(any(
        feature = "budget",
        feature = "rate-limit",
        feature = "retry",
        feature = "wait-for-ready"
    ))]
    #[test]
    fn an_equal_pattern_is_replaced_in_its_place() {
        let mut table = MethodTable::default();
        for (pattern, value) in [
            ("/a.A/G*", 1),
            ("/a.A/*", 2),
            ("/a.A/G*", 3),
            ("/a.A/One", 4),
        ] {
            table.replace(pattern, value).unwrap();
        }
        assert_eq!(table.find("/a.A/Get"), Some(&3));
        assert_eq!(table.find("/a.A/Put"), Some(&2));
        table.replace("/a.A/One", 5).unwrap();
        assert_eq!(table.find("/a.A/One"), Some(&5));
    }

    #[test]
    fn a_star_stays_within_its_segment() {
        let mut table = MethodTable::default();
        table.add("/a.*/Get", 1).unwrap();
        assert_eq!(table.find("/a.b.C/Get"), Some(&1));
        assert_eq!(table.find("/a.b/C/Get"), None);
        table.add("/**", 2).unwrap();
        assert_eq!(table.find("/x.Y/Z"), Some(&2));
    }

    #[test]
    fn what_can_not_match_a_method_is_refused() {
        let add = |pattern| MethodTable::default().add(pattern, ());
        for pattern in ["", "/", "a.A/Get", "/a.A", "/a.A/", "//Get", "/a/b/Get"] {
            assert!(
                matches!(add(pattern), Err(InvalidPattern::NotAMethod(_))),
                "{pattern}"
            );
        }
        for pattern in ["/a.A/Get[", "/a.A/***"] {
            assert!(
                matches!(add(pattern), Err(InvalidPattern::Glob { .. })),
                "{pattern}"
            );
        }
    }
}
