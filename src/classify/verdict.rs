use std::fmt;
use std::time::Duration;

use crate::grpc::Code;

/// How far a request provably got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Progress {
    /// It never left the client.
    NotSent,
    /// It reached the server's transport, which proved that the application did not see it.
    Refused,
    /// The server answered, and vouched that the request had no effect (CONTRACT I7): see
    /// [`RetryLayer::trust_unprocessed`](crate::RetryLayer::trust_unprocessed).
    Unprocessed,
    /// It may have run.
    Reached,
    /// The server answered.
    Answered,
}

impl Progress {
    /// Whether the request certainly had no effect: the application did not see it, or says so
    /// itself (CONTRACT I1, I7).
    #[must_use]
    pub fn is_unprocessed(self) -> bool {
        matches!(self, Self::NotSent | Self::Refused | Self::Unprocessed)
    }
}

/// What the server said about retrying (CONTRACT P).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Do not retry.
    Stop,
    /// Retry after exactly this delay: pushback.
    Exactly(Duration),
    /// Retry no sooner than this: `RetryInfo`.
    AtLeast(Duration),
}

/// The event that ended an attempt; its [`name`](Self::name) is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The server answered with a status.
    Answered,
    /// The server, the client itself or a proxy refused a message, or metadata, for its size: so it
    /// will do next time (CONTRACT R15).
    MessageTooLarge,
    /// The server answered with a `grpc-status` that is no code, or with several (CONTRACT R16).
    InvalidStatus,
    /// An HTTP answer without `grpc-status`, such as a proxy's.
    HttpStatus,
    /// A gRPC answer that ended without `grpc-status`.
    NoStatus,
    /// No connection could be made.
    ConnectFailed,
    /// The channel can take no call any more: its worker is gone, or its readiness failed.
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
    /// The attempt's own timeout passed: that of the attempt timeout layer, or of tower's timeout.
    AttemptTimedOut,
    /// The transport's own timer went off: at the call's `grpc-timeout`, or at a timeout of the
    /// transport, such as tonic's `Endpoint::timeout`. Below a layer that knows the deadline, only
    /// at the latter.
    TransportTimedOut,
    /// A status from a service that is no transport.
    ForeignStatus,
    /// An error that this crate does not know.
    Unrecognised,
    /// The deadline of the call passed.
    DeadlineExceeded,
    /// The caller asked for something that can't be.
    InvalidCall,
    /// What the user runs before each attempt failed.
    HookFailed,
    /// The caller dropped the call, or the call that it was made for is over.
    Dropped,
    /// The channel is known to be down, and the call does not wait.
    NotReady,
    /// Too many calls wait for the channel already.
    QueueFull,
    /// The client held it back, since the server refuses much of what it gets.
    Throttled,
    /// No tokio runtime can wake the call.
    NoRuntime,
    /// A layer of tower's on this side shed it, since its service takes no further call now.
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
    /// Whether a layer on this side said it, of which the server knows nothing: the channel could not
    /// take the call, or was spared it.
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

    /// Whether a clock on this side ended an attempt: its own, or the transport's, which may have
    /// gone by the call's.
    pub(crate) fn is_time_out(self) -> bool {
        matches!(self, Self::AttemptTimedOut | Self::TransportTimedOut)
    }

    /// Whether no later attempt can end otherwise, whatever codes are retried (CONTRACT R15, R16).
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

/// What an attempt's end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// How far the request got.
    pub progress: Progress,
    /// The code that the caller should see.
    pub code: Code,
    /// The server's hint.
    pub hint: Option<Hint>,
    /// Which event it was.
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

    /// Whether no connection was ever picked: wait-for-ready's or the retry policy's business, not
    /// a transparent retry's (CONTRACT X1).
    #[must_use]
    pub fn is_failed_connect(&self) -> bool {
        let is_ours = self.progress == Progress::NotSent;
        is_ours && (self.reason == Reason::ConnectFailed || self.reason.is_readiness())
    }
}
