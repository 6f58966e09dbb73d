use std::fmt;

/// What a call is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// No acting layer has the call yet.
    #[default]
    NotStarted,
    /// Waits until the inner service is ready for the call.
    Queued,
    /// Runs the user's hook before an attempt.
    Preparing,
    /// An attempt is under way, without an answer yet.
    Attempt,
    /// Waits between two attempts.
    Backoff,
    /// Waits for the channel to become ready.
    NotReady,
    /// Reads the response.
    Response,
    /// The call has ended.
    Over,
}

impl Phase {
    pub(super) const COUNT: usize = 8;

    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::NotStarted,
        Self::Queued,
        Self::Preparing,
        Self::Attempt,
        Self::Backoff,
        Self::NotReady,
        Self::Response,
        Self::Over,
    ];

    /// A stable name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Attempt => "attempt",
            Self::Backoff => "backoff",
            Self::NotReady => "not_ready",
            Self::Response => "response",
            Self::Over => "over",
        }
    }
}

impl Phase {
    /// The phase in the past tense, for a report with its duration.
    pub(super) fn done(self) -> &'static str {
        match self {
            Self::NotStarted => "not started",
            Self::Queued => "waited for the service below",
            Self::Preparing => "prepared attempts",
            Self::Attempt => "attempts under way",
            Self::Backoff => "waited between attempts",
            Self::NotReady => "waited for the channel",
            Self::Response => "read the response",
            Self::Over => "over",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted => "not handed to a layer",
            Self::Queued => "waiting for the service below to take the request",
            Self::Preparing => "preparing the next attempt",
            Self::Attempt => "waiting for the answer to an attempt",
            Self::Backoff => "waiting before the next attempt",
            Self::NotReady => "waiting for the channel to become ready",
            Self::Response => "reading the response",
            Self::Over => "over",
        })
    }
}
