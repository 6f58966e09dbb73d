use std::fmt;

use http::HeaderValue;

/// The token of an access list. It is never shown.
#[derive(Clone)]
pub(crate) struct Token(HeaderValue);

impl Token {
    /// `None`: it can't be the value of a header.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        (!text.is_empty()).then_some(Self(value))
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Whether a text has the token in it.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.0.to_str().is_ok_and(|token| text.contains(token))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}
