//! A file as a flat list of tokens, without comments.

use proc_macro2::{Delimiter, LexError, Spacing, Span, TokenStream, TokenTree};

/// A token: a word, a literal, one character of punctuation, `::`, or a bracket.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) last_line: usize,
}

#[derive(Default)]
pub(crate) struct Tokens(pub(crate) Vec<Token>);

impl Tokens {
    pub(crate) fn parse(text: &str) -> Result<Self, LexError> {
        let mut tokens = Self::default();
        tokens.flatten(text.parse()?);
        Ok(tokens.without(|tokens, at| tokens.is_doc(at).then(|| tokens.attribute_end(at))))
    }

    pub(crate) fn flatten(&mut self, stream: TokenStream) {
        let mut joint_colon = false;
        for tree in stream {
            let was_joint_colon = std::mem::take(&mut joint_colon);
            match tree {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::None => ("", ""),
                    };
                    self.push(open, group.span_open());
                    self.flatten(group.stream());
                    self.push(close, group.span_close());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && was_joint_colon => {
                    self.0.pop();
                    self.push("::", punct.span());
                }
                tree => {
                    joint_colon = matches!(&tree, TokenTree::Punct(punct)
                        if punct.as_char() == ':' && punct.spacing() == Spacing::Joint);
                    self.push(&tree.to_string(), tree.span());
                }
            }
        }
    }

    pub(crate) fn push(&mut self, text: &str, span: Span) {
        self.0.push(Token {
            text: text.to_owned(),
            line: span.start().line,
            last_line: span.end().line,
        });
    }

    /// The text of a token, empty past the end.
    pub(crate) fn text(&self, at: usize) -> &str {
        self.0.get(at).map_or("", |token| &token.text)
    }

    pub(crate) fn before(&self, at: usize) -> &str {
        at.checked_sub(1).map_or("", |before| self.text(before))
    }

    pub(crate) fn line(&self, at: usize) -> usize {
        self.0.get(at).map_or(0, |token| token.line)
    }

    /// `pub(crate)`, `pub(super)`: that names nothing.
    pub(crate) fn is_visibility(&self, at: usize) -> bool {
        at >= 2 && self.text(at - 2) == "pub" && self.before(at) == "(" && self.text(at + 1) == ")"
    }

    /// Whether `at` goes on with a path, as `tonic` in `super::tonic::X`; not so in `::tonic::X`.
    pub(crate) fn follows_segment(&self, at: usize) -> bool {
        at >= 2
            && self.before(at) == "::"
            && self
                .text(at - 2)
                .ends_with(|end: char| end.is_alphanumeric() || end == '_')
    }

    /// A doc comment, which the lexer shows as `#[doc = ".."]` or `#![doc = ".."]`.
    pub(crate) fn is_doc(&self, at: usize) -> bool {
        let bracket = at + 1 + usize::from(self.text(at + 1) == "!");
        self.text(at) == "#" && self.text(bracket + 1) == "doc" && self.text(bracket + 2) == "="
    }

    /// `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
    pub(crate) fn is_cfg_test(&self, at: usize) -> bool {
        let words: Vec<_> = (at..at + 7).map(|at| self.text(at)).collect();
        words.starts_with(&["#", "[", "cfg", "(", "test", ")"])
            || words.starts_with(&["#", "[", "cfg", "(", "all", "(", "test"])
    }

    pub(crate) fn without_tests(&self) -> Self {
        self.without(|tokens, at| tokens.is_cfg_test(at).then(|| tokens.item_end(at)))
    }

    /// The tokens without the ranges which `skip` finds: it gets a start and gives an end.
    pub(crate) fn without(&self, skip: impl Fn(&Self, usize) -> Option<usize>) -> Self {
        let mut kept = Vec::new();
        let mut at = 0;
        while let Some(token) = self.0.get(at) {
            if let Some(end) = skip(self, at) {
                at = end;
            } else {
                kept.push(token.clone());
                at += 1;
            }
        }
        Self(kept)
    }

    /// Past the attribute that starts at `at`.
    pub(crate) fn attribute_end(&self, at: usize) -> usize {
        self.end_of(at, |closed| closed == "]")
    }

    /// Past the item whose attributes start at `at`: its block, or its semicolon.
    pub(crate) fn item_end(&self, at: usize) -> usize {
        self.end_of(at, |closed| matches!(closed, "}" | ";"))
    }

    /// Past the first token outside all brackets that `is_end`, or where the enclosing ones close.
    pub(crate) fn end_of(&self, at: usize, is_end: impl Fn(&str) -> bool) -> usize {
        let mut depth = 0_usize;
        for (offset, token) in self.0.iter().skip(at).enumerate() {
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" if depth == 0 => return at + offset,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 && is_end(&token.text) {
                return at + offset + 1;
            }
        }
        self.0.len()
    }
}
