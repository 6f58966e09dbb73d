use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::AgentError;
use super::token::Token;

/// What an agent answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The most of an agent's words that an error has.
const MOST_WORDS: usize = 200;

impl Answer {
    /// The answer, if it is a success.
    pub(crate) fn successful(self, token: Option<&Token>) -> Result<Self, AgentError> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(AgentError::Status {
            status: self.status,
            words: words(&self.body, token),
        })
    }
}

/// What the agent says of a failure, as it can be shown.
fn words(body: &[u8], token: Option<&Token>) -> String {
    let text = String::from_utf8_lossy(body);
    // What answers may be no agent, but a service that sends back the headers that it got.
    if token.is_some_and(|token| token.is_in(&text)) {
        return String::new();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let words = words.join(" ");
    let shown = words.chars().filter(|it| !it.is_control());
    shown.take(MOST_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(body: &str, token: Option<&str>) -> String {
        let token = token.map(|token| Token::new(token).unwrap());
        let answer = Answer {
            status: StatusCode::FORBIDDEN,
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        answer.successful(token.as_ref()).unwrap_err().to_string()
    }

    // CONTRACT N7
    #[test]
    fn an_error_has_the_agent_s_words() {
        assert_eq!(
            failed("Permission\n denied\u{1b}", None),
            "the agent answers 403 Forbidden: Permission denied"
        );
        assert_eq!(failed("", None), "the agent answers 403 Forbidden");
        assert!(failed(&"long ".repeat(99), None).len() < 250);
    }

    // CONTRACT N7
    #[test]
    fn words_with_the_token_in_them_are_not_shown() {
        let text = failed("x-consul-token: s3cret", Some("s3cret"));
        assert_eq!(text, "the agent answers 403 Forbidden");
    }
}
