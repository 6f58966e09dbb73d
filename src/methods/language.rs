//! Compares the sets of methods that two globs match, without enumerating them.
//!
//! A glob is an automaton over its tokens. Only the characters that its tokens distinguish matter,
//! so one search through the pairs of states decides.

use std::collections::BTreeSet;

/// The maximum number of states searched. A pattern that needs more has dozens of stars.
const MOST: usize = 10_000;

/// One element of a glob, as `glob::Pattern` reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// The end of a segment.
    Slash,
    /// One character inside these ranges, or one outside of them; never a slash.
    One {
        ranges: Vec<(char, char)>,
        within: bool,
    },
    /// `*`: any characters of a segment.
    Within,
    /// `**`: any number of whole segments; at the end any text.
    Across,
}

/// The tokens of a glob or a path.
pub(super) struct Language(Vec<Token>);

/// How much of a method's path a word covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    Start,
    Service { has_name: bool },
    Method { has_name: bool },
}

impl Shape {
    fn then(self, next: char) -> Option<Self> {
        match (self, next) {
            (Self::Start, '/') => Some(Self::Service { has_name: false }),
            (Self::Service { has_name: true }, '/') => Some(Self::Method { has_name: false }),
            (_, '/') | (Self::Start, _) => None,
            (Self::Service { .. }, _) => Some(Self::Service { has_name: true }),
            (Self::Method { .. }, _) => Some(Self::Method { has_name: true }),
        }
    }

    fn is_whole(self) -> bool {
        self == Self::Method { has_name: true }
    }
}

/// The places where a glob may be after a word, and whether the word ends with a slash.
type Places = BTreeSet<usize>;

impl Language {
    /// The language of a well-formed pattern.
    pub(super) fn of(pattern: &str) -> Self {
        let chars: Vec<char> = pattern.chars().collect();
        let mut tokens = Vec::new();
        let mut rest = &*chars;
        while let [first, after @ ..] = rest {
            rest = after;
            let token = match (first, after) {
                ('*', ['*', after @ ..]) => {
                    // The slash behind it is a token of its own.
                    rest = after.strip_prefix(&['/']).unwrap_or(after);
                    Token::Across
                }
                ('*', _) => Token::Within,
                ('?', _) => Token::One {
                    ranges: Vec::new(),
                    within: false,
                },
                ('[', after) => {
                    let (token, after) = class(after);
                    rest = after;
                    token
                }
                ('/', _) => Token::Slash,
                (one, _) => Token::One {
                    ranges: vec![(*one, *one)],
                    within: true,
                },
            };
            if token != Token::Across || tokens.last() != Some(&Token::Across) {
                tokens.push(token);
            }
        }
        Self(tokens)
    }

    /// Whether it certainly matches each method that `other` matches.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let missed = |ours: &Places, theirs: &Places| other.accepts(theirs) && !self.accepts(ours);
        self.search(other, missed) == Some(false)
    }

    /// Whether some method may match both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let both = |ours: &Places, theirs: &Places| other.accepts(theirs) && self.accepts(ours);
        self.search(other, both) != Some(false)
    }

    /// Whether some method leads the two globs to places for which `holds` is true; `None` if the
    /// search is too large.
    fn search(&self, other: &Self, holds: impl Fn(&Places, &Places) -> bool) -> Option<bool> {
        let alphabet = alphabet([self, other]);
        let start = (Shape::Start, self.start(), other.start());
        let mut seen = BTreeSet::from([start.clone()]);
        let mut open = vec![start];
        while let Some((shape, ours, theirs)) = open.pop() {
            if shape.is_whole() && holds(&ours, &theirs) {
                return Some(true);
            }
            for next in &alphabet {
                let Some(shape) = shape.then(*next) else {
                    continue;
                };
                let theirs = other.step(&theirs, *next);
                if theirs.is_empty() {
                    continue;
                }
                let state = (shape, self.step(&ours, *next), theirs);
                if seen.insert(state.clone()) {
                    open.push(state);
                }
            }
            if seen.len() > MOST {
                return None;
            }
        }
        Some(false)
    }

    fn start(&self) -> Places {
        // A `**` may begin here, as it may after a slash.
        self.closed(BTreeSet::from([0]), true)
    }

    fn accepts(&self, places: &Places) -> bool {
        places.contains(&self.0.len())
    }

    fn step(&self, places: &Places, next: char) -> Places {
        let after = places.iter().filter_map(|place| match self.0.get(*place)? {
            Token::One { ranges, within } => {
                let is_listed = ranges
                    .iter()
                    .any(|(low, high)| (low..=high).contains(&&next));
                (is_listed == *within && next != '/').then_some(place + 1)
            }
            Token::Slash => (next == '/').then_some(place + 1),
            Token::Within => (next != '/').then_some(*place),
            Token::Across => Some(*place),
        });
        self.closed(after.collect(), next == '/')
    }

    /// Adds the places that are reached without a character.
    fn closed(&self, mut places: Places, is_after_slash: bool) -> Places {
        let mut open: Vec<_> = places.iter().copied().collect();
        while let Some(place) = open.pop() {
            let goes_on = match self.0.get(place) {
                Some(Token::Within) => true,
                Some(Token::Across) => is_after_slash || place + 1 == self.0.len(),
                _ => false,
            };
            if goes_on && places.insert(place + 1) {
                open.push(place + 1);
            }
        }
        places
    }
}

/// The class after an opening bracket, and the rest of the pattern.
fn class(after: &[char]) -> (Token, &[char]) {
    let (within, listed) = match after {
        ['!', listed @ ..] => (false, listed),
        listed => (true, listed),
    };
    // A bracket in the first position is a member of the class.
    let end = listed.iter().skip(1).position(|it| *it == ']');
    let end = end.map_or(listed.len(), |end| end + 1);
    let (mut listed, rest) = listed.split_at(end);
    let mut ranges = Vec::new();
    while let [low, after @ ..] = listed {
        let (high, after) = match after {
            ['-', high, after @ ..] => (high, after),
            after => (low, after),
        };
        ranges.push((*low, *high));
        listed = after;
    }
    let rest = rest.strip_prefix(&[']']).unwrap_or(rest);
    (Token::One { ranges, within }, rest)
}

/// One character for each kind that the tokens distinguish.
fn alphabet(languages: [&Language; 2]) -> BTreeSet<char> {
    let mut bounds = BTreeSet::from([0, u32::from('/'), u32::from('/') + 1]);
    for token in languages.iter().flat_map(|language| &language.0) {
        if let Token::One { ranges, .. } = token {
            for (low, high) in ranges {
                bounds.extend([u32::from(*low), u32::from(*high) + 1]);
            }
        }
    }
    // After the last character before the surrogates comes the first one behind them.
    let first = |bound| char::from_u32(bound).or_else(|| (bound < 0xE000).then_some('\u{e000}'));
    bounds.into_iter().filter_map(first).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::methods::glob::Glob;

    fn covers(one: &str, other: &str) -> bool {
        Language::of(one).covers(&Language::of(other))
    }

    /// All methods over a small alphabet, with names of up to `longest` characters.
    fn methods(longest: usize) -> Vec<String> {
        let mut names = vec![String::new()];
        let mut all = Vec::new();
        for _ in 0..longest {
            let longer = names
                .iter()
                .flat_map(|name| ['a', 'b', 'c', 'd'].map(|it| format!("{name}{it}")));
            names = longer.collect();
            all.extend_from_slice(&names);
        }
        let pairs = all
            .iter()
            .flat_map(|service| all.iter().map(move |it| format!("/{service}/{it}")));
        pairs.collect()
    }

    fn patterns() -> impl Strategy<Value = String> {
        let name = "([abc?]|\\*|\\[ab\\]|\\[!a\\]|\\[a-c\\]|\\[!a-b\\]){1,2}";
        prop_oneof![
            (name, name).prop_map(|(service, method)| format!("/{service}/{method}")),
            name.prop_map(|name| format!("/**/{name}")),
            name.prop_map(|name| format!("/{name}/**")),
            name.prop_map(|name| format!("/**/**/{name}")),
            Just("/**".to_owned()),
        ]
    }

    #[test]
    fn what_decides_nothing_behind_another_is_seen_whatever_globs_they_are() {
        for (one, other) in [
            ("/a.*/*", "/a.B/Get*"),
            ("/**/*", "/a.B/Get*"),
            ("/a.B/**", "/a.B/Get*"),
            ("/a.B/*", "/a.B/**"),
            ("/a.B/?*", "/a.B/Get*"),
            ("/a.B/?*", "/a.B/*"),
            ("/a.B/[A-Z]*", "/a.B/[GP]et*"),
            ("/a.B/[!a-z]*", "/a.B/Get"),
            ("/*/*", "/**"),
        ] {
            assert!(covers(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("/a.B/Get*", "/a.*/*"),
            ("/a.B/?", "/a.B/*"),
            ("/a.B/[A-F]*", "/a.B/[GP]et*"),
            ("/a.B/*t", "/a.B/G*"),
            ("/a.*/Get", "/a.*/Ge?"),
            ("/a.B/[!a]*", "/a.B/*"),
        ] {
            assert!(!covers(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_pattern_that_takes_too_long_is_not_said_to_be_covered() {
        let many = "*a?".repeat(40);
        let (one, other) = (format!("/a/*b{many}"), format!("/a/{many}b*"));
        assert!(!covers(&one, &other));
        assert!(Language::of(&one).meets(&Language::of(&other)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn a_language_has_the_words_that_the_glob_matches(
            pattern in patterns(), word in "/[a-d]{1,4}/[a-d]{1,4}",
        ) {
            let glob = Glob::new(&pattern).unwrap();
            prop_assert_eq!(covers(&pattern, &word), glob.matches(&word), "{} {}", pattern, word);
            let meets = Language::of(&pattern).meets(&Language::of(&word));
            prop_assert_eq!(meets, glob.matches(&word), "{} {}", pattern, word);
        }

        /// A word that distinguishes two such patterns is no longer than both.
        #[test]
        fn two_patterns_are_compared_as_if_all_methods_were_tried(one in patterns(), other in patterns()) {
            let (first, second) = (Glob::new(&one).unwrap(), Glob::new(&other).unwrap());
            let all = methods(3);
            let of_other: Vec<_> = all.iter().filter(|it| second.matches(it)).collect();
            let expected = of_other.iter().all(|it| first.matches(it));
            prop_assert_eq!(covers(&one, &other), expected, "{} {}", one, other);
            let expected = of_other.iter().any(|it| first.matches(it));
            let meets = Language::of(&one).meets(&Language::of(&other));
            prop_assert_eq!(meets, expected, "{} {}", one, other);
        }
    }
}
