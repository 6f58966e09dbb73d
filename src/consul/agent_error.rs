use std::io;
use std::time::Duration;

use http::StatusCode;

use crate::error::BoxError;

/// Why an agent did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    #[error("the agent can't be reached")]
    Unreachable(#[source] io::Error),
    #[error("the agent did not answer within {0:?}")]
    Late(Duration),
    #[error("the connection to the agent broke before its whole answer was there")]
    Broken(#[source] BoxError),
    #[error("the agent's answer has more than {MOST_BYTES} bytes")]
    TooLong,
    #[error("the agent answers {status}{}{words}", if words.is_empty() { "" } else { ": " })]
    Status { status: StatusCode, words: String },
}

/// Of 20,000 instances with some tags.
pub(super) const MOST_BYTES: usize = 64 << 20;
