use std::fmt;

/// What a call is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// No layer that acts on calls has it yet.
    #[default]
    NotStarted,
    /// It waits for the inner service to take it.
    Queued,
    /// What the user runs before an attempt is running.
    Preparing,
    /// An attempt is under way and has no answer yet.
    Attempt,
    /// It waits between two attempts.
    Backoff,
    /// It waits for the channel to get ready.
    NotReady,
    /// The answer has begun and is not at its end.
    Response,
    /// It has ended.
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
    /// What the call did in it, in a report that says for how long.
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
