use glob::{MatchOptions, Pattern};

use super::language::Language;

/// `*` stays within a segment: a service or a method, never both.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A glob that is matched against every call. The usual forms avoid the general matcher.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    pattern: Pattern,
    /// The text before a final `*`, if the glob has no other special character.
    prefix: Option<String>,
}

impl Glob {
    /// Parses a glob; returns the reason if it is malformed.
    pub(super) fn new(pattern: &str) -> Result<Self, &'static str> {
        let compiled = Pattern::new(pattern).map_err(|error| error.msg)?;
        let prefix = pattern.strip_suffix('*').map(str::to_owned);
        let is_literal = |prefix: &String| !prefix.contains(['*', '?', '[', ']']);
        Ok(Self {
            pattern: compiled,
            prefix: prefix.filter(is_literal),
        })
    }

    pub(super) fn as_str(&self) -> &str {
        self.pattern.as_str()
    }

    /// Whether it certainly matches all that `other` matches.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self.as_str(), other.as_str()) {
            (one, other) if one == other => true,
            ("/**", _) => true,
            // `/**` also matches paths that are not methods.
            (_, "/**") => false,
            (one, other) => Language::of(one).covers(&Language::of(other)),
        }
    }

    pub(super) fn matches(&self, method: &str) -> bool {
        let Some(prefix) = &self.prefix else {
            return self.pattern.matches_with(method, OPTIONS);
        };
        let rest = method.strip_prefix(&**prefix);
        rest.is_some_and(|rest| !rest.as_bytes().contains(&b'/'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_globs_need_no_machinery() {
        let prefix = |pattern| Glob::new(pattern).unwrap().prefix;
        assert_eq!(prefix("/a.A/Get*").as_deref(), Some("/a.A/Get"));
        assert_eq!(prefix("/a.A/*").as_deref(), Some("/a.A/"));
        for other in ["/**", "/a.*/Get", "/a.A/G?t*", "/a.A/[GP]*"] {
            assert_eq!(prefix(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_glob_matches_what_the_general_machinery_matches(
            pattern in "/[a.]{0,3}\\*?/[GP.?*\\[\\]]{0,4}\\*?", method in "/?[a./]{0,4}/[GP./é]{0,4}",
        ) {
            let Ok(glob) = Glob::new(&pattern) else { return Ok(()) };
            prop_assert_eq!(glob.matches(&method), glob.pattern.matches_with(&method, OPTIONS));
        }
    }
}
