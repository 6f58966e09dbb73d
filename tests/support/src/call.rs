//! What is known of one call.

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use crate::wire;

/// One call as it reached the server: a snapshot, taken when the server was asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// The path: `/package.Service/Method`.
    pub method: String,
    /// All headers of the request.
    pub metadata: HeaderMap,
    /// `grpc-timeout`, as it was sent.
    pub timeout: Option<String>,
    /// `grpc-previous-rpc-attempts`, as it was sent.
    pub previous_attempts: Option<String>,
    /// The metadata `x-call-id`, by which a test can tell calls apart.
    pub call_id: Option<String>,
    /// When it came, on tokio's clock.
    pub at: Instant,
    /// The connection it came on: the n-th that the server accepted, from 1.
    pub connection: u64,
    /// What has been read of the request's body, prefixes included: by the answer, or by the handler.
    pub request: Bytes,
    /// Whether the end of the request has been read, which is no earlier than the client closed its side.
    pub request_ended: bool,
    /// Whether the real handler was called.
    pub handler_ran: bool,
    /// How it went.
    pub outcome: Outcome,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The answer is not complete yet.
    Running,
    /// All of the answer was handed to the transport, or the connection was dropped as the script says.
    Finished,
    /// The server was made to stop before the end of its answer: the client went away, the connection broke, the
    /// call's `grpc-timeout` passed, or the server was stopped.
    Cancelled,
}

impl Call {
    /// Whether the server was made to stop before the end of its answer.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.outcome == Outcome::Cancelled
    }

    /// Whether the server gave all of its answer.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.outcome == Outcome::Finished
    }

    /// A header of the request, if it was sent and is text; the first one if it is repeated.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.metadata.get(name)?.to_str().ok()
    }

    /// The payloads of the whole messages that were read of the request.
    #[must_use]
    pub fn messages(&self) -> Vec<Bytes> {
        wire::messages(self.request.clone())
    }
}

/// Whether no call runs any more.
#[must_use]
pub fn ended(calls: &[Call]) -> bool {
    calls.iter().all(|call| call.outcome != Outcome::Running)
}
