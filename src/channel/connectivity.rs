use std::fmt;

/// gRPC's connectivity of an endpoint, or of a channel.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::channel::{Channel, Connectivity};
///
/// let channel = Channel::builder("ipv4:127.0.0.1:50051").build()?;
/// assert_ne!(channel.state(), Connectivity::Ready);
/// channel.close().await;
/// assert_eq!(channel.state().name(), "SHUTDOWN");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Connectivity {
    /// No connection, and none is wanted.
    Idle,
    /// A connection is being made.
    Connecting,
    /// A connection takes calls.
    Ready,
    /// No connection can be made; the next dial is planned.
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
