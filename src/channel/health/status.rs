use std::fmt;

/// What a channel with a health check knows of a server's health; see
/// [`Builder::health_check`](super::super::Builder::health_check).
///
/// ```
/// use grpc_resilience::channel::{Channel, Health};
///
/// fn is_any_unhealthy(channel: &Channel) -> bool {
///     let endpoints = channel.snapshot().endpoints;
///     let mut known = endpoints.iter().filter_map(|endpoint| endpoint.health.as_ref());
///     known.any(|health| !health.status.is_healthy())
/// }
/// # assert_eq!(Health::NotServing.to_string(), "NOT_SERVING");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Health {
    /// The server says SERVING.
    Serving,
    /// The server says `NOT_SERVING`.
    NotServing,
    /// The server says UNKNOWN, or a status that the protocol does not have.
    Unknown,
    /// The server does not know the service: it says `SERVICE_UNKNOWN`, or ends the watch with
    /// `NOT_FOUND`. It may know it later.
    ServiceUnknown,
    /// The server ended the watch, and is asked again after a delay.
    Ended,
    /// The server's health can't be checked, so it counts as healthy: it has no health service, or
    /// allows one stream at a time only.
    Unchecked,
}

impl Health {
    /// By the number in the server's message.
    pub(super) fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Serving,
            2 => Self::NotServing,
            3 => Self::ServiceUnknown,
            _ => Self::Unknown,
        }
    }

    /// Whether calls go to the server.
    #[must_use]
    pub fn is_healthy(self) -> bool {
        matches!(self, Self::Serving | Self::Unchecked)
    }

    /// The protocol's name where it has one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::Unknown => "UNKNOWN",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
            Self::Ended => "ended",
            Self::Unchecked => "unchecked",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
