use std::fmt;

/// gRPC's connectivity of an endpoint, or of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Connectivity {
    /// No connection, and none is wanted.
    Idle,
    /// A connection is being made.
    Connecting,
    /// Calls can go.
    Ready,
    /// Connections can't be made; the next try is on schedule.
    TransientFailure,
    /// Closed.
    Shutdown,
}

impl Connectivity {
    /// gRPC's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "IDLE",
            Self::Connecting => "CONNECTING",
            Self::Ready => "READY",
            Self::TransientFailure => "TRANSIENT_FAILURE",
            Self::Shutdown => "SHUTDOWN",
        }
    }
}

impl fmt::Display for Connectivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
