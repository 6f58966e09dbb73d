use std::fmt;

/// gRPC's connectivity states, as far as calls reveal them. Source: [connectivity
/// semantics](https://github.com/grpc/grpc/blob/master/doc/connectivity-semantics-and-api.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectivityState {
    /// No call has tried the channel yet, or since its connection was lost.
    Idle,
    /// One call tries the channel; the others wait for the result.
    Connecting,
    /// The channel takes calls.
    Ready,
    /// No connection can be made; the channel is retried with backoff.
    TransientFailure,
    /// The channel takes no more calls: its worker is gone, or its readiness failed.
    Shutdown,
}

impl ConnectivityState {
    /// gRPC's name of the state.
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

impl fmt::Display for ConnectivityState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
