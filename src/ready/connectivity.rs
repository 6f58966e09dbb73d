use std::fmt;

/// gRPC's names for what a channel is doing, as far as calls show it. Source:
/// [connectivity semantics](https://github.com/grpc/grpc/blob/master/doc/connectivity-semantics-and-api.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectivityState {
    /// No call has tried it yet, or since the connection was lost.
    Idle,
    /// A call tries it, and the others wait for what comes of that.
    Connecting,
    /// It takes calls.
    Ready,
    /// No connection can be made; it is tried again by the backoff.
    TransientFailure,
    /// It can take no call any more: its worker is gone, or its readiness failed.
    Shutdown,
}

impl ConnectivityState {
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

impl fmt::Display for ConnectivityState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
