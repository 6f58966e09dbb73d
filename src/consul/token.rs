use std::fmt;

use http::HeaderValue;

/// The token of an access list. It is never shown.
#[derive(Clone)]
pub(crate) struct Token(HeaderValue);

/// Not shown either.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it can't be the value of a header")]
pub(crate) struct InvalidToken;

impl Token {
    pub(crate) fn new(text: &str) -> Result<Self, InvalidToken> {
        let mut value = HeaderValue::from_str(text).map_err(|_| InvalidToken)?;
        value.set_sensitive(true);
        if text.is_empty() {
            return Err(InvalidToken);
        }
        Ok(Self(value))
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
