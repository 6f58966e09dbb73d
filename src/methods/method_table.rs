use rustc_hash::FxHashMap;

use super::glob::Glob;
use super::language::Language;
use super::path::is_method;

/// Returned for an invalid method pattern, which would match or decide nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPattern {
    /// The pattern does not have the form of a method's path.
    #[error("{0:?} is not a method: write /package.Service/Method, with or without globs")]
    NotAMethod(String),
    /// The pattern has a character that no path has, such as a brace.
    #[error("{pattern:?} matches no method because of {character:?}: {}", advice(*character))]
    Character {
        /// The pattern.
        pattern: String,
        /// The first such character.
        character: char,
    },
    /// An earlier glob matches all methods of this pattern, so the pattern decides nothing.
    #[error(
        "{pattern:?} has no effect because the earlier {by:?} matches all of its methods, and the first \
         glob decides: add it before {by:?}"
    )]
    Shadowed {
        /// The pattern.
        pattern: String,
        /// The earlier pattern.
        by: String,
    },
    /// The exception matches no method, so the intended method would stay repeatable.
    #[error(
        "{0:?} matches no method of the descriptors and tables: check its spelling, or add the \
         descriptors of its service"
    )]
    NoSuchMethod(String),
    /// The glob is malformed.
    #[error("{pattern:?} is a malformed glob: {reason}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// Why it is malformed.
        reason: String,
    },
}

/// How to rewrite a pattern with this character.
fn advice(character: char) -> &'static str {
    if matches!(character, '{' | '}' | '|') {
        "a glob supports `*`, `?`, `[a-c]` and `**`; write a pattern for each alternative"
    } else {
        "no path contains it; remove it"
    }
}

/// Values for methods, by exact path or by glob.
#[derive(Clone, Debug)]
pub(crate) struct MethodTable<T> {
    /// A fast hash without protection against collisions: the keys come from configuration.
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

/// Checks a pattern on its own, without other patterns or methods.
pub(crate) fn check(pattern: &str) -> Result<(), InvalidPattern> {
    MethodTable::default().add(pattern, ())
}

impl<T> MethodTable<T> {
    pub(crate) fn add(&mut self, pattern: &str, value: T) -> Result<(), InvalidPattern> {
        // The only pattern with one segment: it matches every method.
        if pattern != "/**" && !is_method(pattern) {
            return Err(InvalidPattern::NotAMethod(pattern.to_owned()));
        }
        if let Some(character) = foreign(pattern) {
            return Err(InvalidPattern::Character {
                pattern: pattern.to_owned(),
                character,
            });
        }
        if !is_glob(pattern) {
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

    /// Like [`add`](Self::add), but rejects a glob whose methods are all decided by an earlier one.
    pub(crate) fn add_deciding(&mut self, pattern: &str, value: T) -> Result<(), InvalidPattern> {
        self.not_shadowed(pattern)?;
        self.add(pattern, value)
    }

    fn not_shadowed(&self, pattern: &str) -> Result<(), InvalidPattern> {
        let Ok(later) = Glob::new(pattern) else {
            return Ok(());
        };
        let shadow = self.globs.iter().find(|(glob, _)| glob.covers(&later));
        match shadow {
            Some((glob, _)) if is_glob(pattern) => Err(InvalidPattern::Shadowed {
                pattern: pattern.to_owned(),
                by: glob.as_str().to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Like [`add`](Self::add), but replaces the value of an equal pattern.
    pub(crate) fn replace(&mut self, pattern: &str, value: T) -> Result<(), InvalidPattern> {
        let equal = |(glob, _): &(Glob, T)| glob.as_str() == pattern;
        if !self.globs.iter().any(equal) {
            self.not_shadowed(pattern)?;
        }
        self.add(pattern, value)?;
        if let Some(first) = self.globs.iter().position(equal)
            && first + 1 < self.globs.len()
        {
            self.globs.swap_remove(first);
        }
        Ok(())
    }

    /// The value of this exact path.
    pub(crate) fn exact(&self, method: &str) -> Option<&T> {
        // Skips the hash in a table without exact paths.
        if self.exact.is_empty() {
            return None;
        }
        self.exact.get(method)
    }

    /// The matching globs and their values, in the order in which they were added.
    pub(crate) fn globs(&self, method: &str) -> impl Iterator<Item = (&str, &T)> {
        self.globs
            .iter()
            .filter(move |(glob, _)| glob.matches(method))
            .map(|(glob, value)| (glob.as_str(), value))
    }

    /// All patterns and their values, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let exact = self.exact.iter().map(|(path, value)| (&**path, value));
        let globs = self
            .globs
            .iter()
            .map(|(glob, value)| (glob.as_str(), value));
        exact.chain(globs)
    }

    /// The value for the method of a request path, which may have a prefix.
    pub(crate) fn find_path(&self, path: &str) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        self.find(super::path::method_of(path))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.globs.is_empty()
    }

    /// The value of the exact path, else of the first matching glob.
    pub(crate) fn find(&self, method: &str) -> Option<&T> {
        let by_glob = || self.globs(method).next().map(|(_, value)| value);
        self.exact(method).or_else(by_glob)
    }
}

/// The first character that can't occur in the path of a URI (RFC 3986, 3.3) and has no meaning in
/// a glob there.
fn foreign(pattern: &str) -> Option<char> {
    let mut is_class = false;
    pattern.chars().find(|it| {
        is_class |= *it == '[';
        let is_of_glob = matches!(it, '*' | '?' | '[') || is_class && *it == ']';
        !is_of_glob && !is_of_path(*it)
    })
}

fn is_of_path(character: char) -> bool {
    let is_mark = "/-._~!$&'()*+,;=:@%".contains(character);
    character.is_ascii_alphanumeric() || is_mark
}

/// Whether the pattern is a glob rather than a path.
pub(crate) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// Whether one glob certainly matches all that the other matches.
pub(crate) fn covers(glob: &str, other: &str) -> bool {
    match (Glob::new(glob), Glob::new(other)) {
        (Ok(glob), Ok(other)) => glob.covers(&other),
        _ => false,
    }
}

/// Whether some method may match both patterns, paths or globs.
pub(crate) fn meets(pattern: &str, other: &str) -> bool {
    Language::of(pattern).meets(&Language::of(other))
}

/// Whether the pattern, a path or a glob, matches this method.
pub(crate) fn matches(pattern: &str, method: &str) -> bool {
    pattern == method || Glob::new(pattern).is_ok_and(|glob| glob.matches(method))
}

/// Whether the pattern's service is the method's service, for any method part.
pub(crate) fn is_of_service(pattern: &str, method: &str) -> bool {
    let service = |path: &str| path.rsplit_once('/').map(|(service, _)| service.to_owned());
    match (service(pattern), service(method)) {
        (Some(pattern), Some(service)) => matches(&pattern, &service),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT V2
    #[test]
    fn a_character_that_no_path_has_is_refused_with_its_pattern() {
        for (pattern, expected) in [
            ("/a.A/{Get,Quote}", '{'),
            ("/a.A/Get|Put", '|'),
            ("/a.A/ Get", ' '),
            ("/a.A/Get\n", '\n'),
            ("/a.{B,C}/Get*", '{'),
            ("/a.A/Get\u{e9}", '\u{e9}'),
            ("/a.A/G\u{e9}t*", '\u{e9}'),
            ("/a.A/[\u{e0}-\u{e9}]*", '\u{e0}'),
            ("/a.A/Get\u{200b}", '\u{200b}'),
            ("/\u{430}.A/Get", '\u{430}'),
            ("/a.A/Get]", ']'),
            ("/a.A/G*]", ']'),
            ("/a.A/Get\\", '\\'),
            ("/a.A/Get\u{7f}", '\u{7f}'),
        ] {
            match MethodTable::default().add(pattern, ()) {
                Err(InvalidPattern::Character { character, .. }) => {
                    assert_eq!(character, expected, "{pattern}");
                }
                other => panic!("{pattern}: {other:?}"),
            }
        }
    }

    // CONTRACT V2
    #[test]
    fn all_characters_of_a_path_and_of_a_glob_are_taken() {
        for pattern in [
            "/a-b._~1/Get!$&'()+,;=:@%20",
            "/a.A/[GP]et",
            "/a.A/[]]*",
            "/a.A/[!a-z]?*",
        ] {
            assert_eq!(check(pattern), Ok(()), "{pattern}");
        }
    }

    // CONTRACT V2
    #[test]
    fn a_glob_that_decides_nothing_is_refused_and_one_that_decides_something_is_not() {
        let add = |first: &str, second: &str| {
            let mut table = MethodTable::default();
            table.replace(first, 1).unwrap();
            table.replace(second, 2)
        };
        for (first, second) in [
            ("/a.A/*", "/a.A/Get*"),
            ("/a.A/G*", "/a.A/Ge?"),
            ("/a.A/G*", "/a.A/Get[AB]"),
            ("/**", "/a.A/Get*"),
            ("/**", "/a.*/Get"),
            ("/a.*/*", "/a.A/Get*"),
            ("/**/*", "/a.A/Get*"),
            ("/a.A/**", "/a.A/Get*"),
            ("/a.A/?*", "/a.A/Get*"),
        ] {
            let refused = add(first, second);
            assert!(
                matches!(&refused, Err(InvalidPattern::Shadowed { by, .. }) if by == first),
                "{first} {second}: {refused:?}"
            );
        }
        for (first, second) in [
            ("/a.A/Get*", "/a.A/*"),
            ("/a.A/*", "/a.A/Get"),
            ("/a.A/*", "/a.A/*"),
            ("/a.A/Get*", "/a.A/G*"),
            ("/a.A/*", "/a.B/Get*"),
            ("/a.A/*", "/a.A*/Get"),
            ("/a.A/*", "/**"),
            ("/*/*", "/**"),
        ] {
            assert_eq!(add(first, second), Ok(()), "{first} {second}");
        }
    }

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
