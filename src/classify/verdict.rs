use std::fmt;
use std::time::Duration;

use crate::grpc::Code;

/// How far a request provably got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Progress {
    /// The request never left the client.
    NotSent,
    /// The request reached the server's transport, which proved that the application did not see
    /// it.
    Refused,
    /// The server answered and guaranteed that the request had no effect (CONTRACT I7): see
    /// [`RetryLayer::trust_unprocessed`](crate::RetryLayer::trust_unprocessed).
    Unprocessed,
    /// The request may have run.
    Reached,
    /// The server answered.
    Answered,
}

impl Progress {
    /// Whether the request certainly had no effect: the application did not see it, or the server
    /// guarantees it (CONTRACT I1, I7).
    #[must_use]
    pub fn is_unprocessed(self) -> bool {
        matches!(self, Self::NotSent | Self::Refused | Self::Unprocessed)
    }
}

/// The server's instruction for the next retry (CONTRACT P).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Do not retry.
    Stop,
    /// Retry after exactly this delay: pushback.
    Exactly(Duration),
    /// Retry after this delay or later: `RetryInfo`.
    AtLeast(Duration),
}

/// The event that ended an attempt; its [`name`](Self::name) is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The server answered with a status.
    Answered,
    /// The server, the client or a proxy refused a message or metadata because of its size. A retry
    /// would be refused too (CONTRACT R15).
    MessageTooLarge,
    /// The server answered with an invalid `grpc-status`, or with several (CONTRACT R16).
    InvalidStatus,
    /// An HTTP answer without `grpc-status`, such as a proxy's.
    HttpStatus,
    /// A gRPC answer that ended without `grpc-status`.
    NoStatus,
    /// No connection could be made.
    ConnectFailed,
    /// The channel takes no more calls: its worker is gone, or its readiness failed.
    ChannelClosed,
    /// The request still waited in the client when the connection closed.
    Queued,
    /// The server refused the stream.
    StreamRefused,
    /// The server went away gracefully (`GOAWAY` with `NO_ERROR`) and did not process the stream.
    GoAway,
    /// The server went away with an error code, and did not process the stream.
    GoAwayError,
    /// The connection died under the request.
    ConnectionLost,
    /// HTTP/2 keepalive found the connection dead.
    KeepaliveTimeout,
    /// The stream was reset.
    StreamReset,
    /// The attempt's own timeout passed: the attempt timeout layer's, or tower's.
    AttemptTimedOut,
    /// The transport's own timer expired, at the call's `grpc-timeout` or at a timeout of the
    /// transport, such as tonic's `Endpoint::timeout`. A layer that knows the deadline reports only
    /// the latter so.
    TransportTimedOut,
    /// A status from a service that is not a transport.
    ForeignStatus,
    /// An error of a type that this crate does not know.
    Unrecognised,
    /// The deadline of the call passed.
    DeadlineExceeded,
    /// The caller's options or the endpoint's URI are invalid.
    InvalidCall,
    /// The user's hook before an attempt failed.
    HookFailed,
    /// The caller dropped the call, or the parent call ended.
    Dropped,
    /// The channel is known to be down, and the call does not wait.
    NotReady,
    /// Too many calls already wait for the channel.
    QueueFull,
    /// The client throttled the call, because the server rejects most calls.
    Throttled,
    /// No tokio runtime is left that can wake the call.
    NoRuntime,
    /// A tower layer on this side shed the call, because its service is at its limit.
    Overloaded,
}

impl Reason {
    /// A stable name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::MessageTooLarge => "message_too_large",
            Self::InvalidStatus => "invalid_status",
            Self::HttpStatus => "http_status",
            Self::NoStatus => "no_status",
            Self::ConnectFailed => "connect_failed",
            Self::ChannelClosed => "channel_closed",
            Self::Queued => "queued",
            Self::StreamRefused => "stream_refused",
            Self::GoAway => "go_away",
            Self::GoAwayError => "go_away_error",
            Self::ConnectionLost => "connection_lost",
            Self::KeepaliveTimeout => "keepalive_timeout",
            Self::StreamReset => "stream_reset",
            Self::AttemptTimedOut => "attempt_timed_out",
            Self::TransportTimedOut => "transport_timed_out",
            Self::ForeignStatus => "foreign_status",
            Self::Unrecognised => "unrecognised",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::InvalidCall => "invalid_call",
            Self::HookFailed => "hook_failed",
            Self::Dropped => "dropped",
            Self::NotReady => "not_ready",
            Self::QueueFull => "queue_full",
            Self::Throttled => "throttled",
            Self::NoRuntime => "no_runtime",
            Self::Overloaded => "overloaded",
        }
    }
}

impl Reason {
    /// Whether a layer on this side decided it and the server saw nothing: the channel could not
    /// take the call, or the call was held back.
    #[must_use]
    pub fn is_readiness(self) -> bool {
        matches!(
            self,
            Self::ChannelClosed
                | Self::NotReady
                | Self::QueueFull
                | Self::Throttled
                | Self::Overloaded
        )
    }

    /// Whether a clock on this side ended an attempt: the attempt's own, or the transport's, which
    /// may run for the call's deadline.
    pub(crate) fn is_time_out(self) -> bool {
        matches!(self, Self::AttemptTimedOut | Self::TransportTimedOut)
    }

    /// Whether every later attempt would fail in this way, whichever codes are retried (CONTRACT
    /// R15, R16).
    #[must_use]
    pub fn is_incurable(self) -> bool {
        matches!(self, Self::MessageTooLarge | Self::InvalidStatus)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The classification of an attempt's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// How far the request got.
    pub progress: Progress,
    /// The code that the caller should see.
    pub code: Code,
    /// The server's hint for the next retry, if it sent one.
    pub hint: Option<Hint>,
    /// The event that ended the attempt.
    pub reason: Reason,
}

impl Verdict {
    /// A verdict without a hint.
    #[must_use]
    pub const fn new(progress: Progress, code: Code, reason: Reason) -> Self {
        Self {
            progress,
            code,
            hint: None,
            reason,
        }
    }

    /// Whether no connection was ever picked. Wait-for-ready or the retry policy handles this, not
    /// a transparent retry (CONTRACT X1).
    #[must_use]
    pub fn is_failed_connect(&self) -> bool {
        let is_ours = self.progress == Progress::NotSent;
        is_ours && (self.reason == Reason::ConnectFailed || self.reason.is_readiness())
    }
}
