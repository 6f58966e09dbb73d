//! The scenarios: here what the client does, in `scenarios.py` what the server does and what is
//! expected. `run.py` fails if one of the two lists has a scenario that the other one lacks.

use std::time::Duration;

use grpc_resilience::grpc::Code;

use self::Call::{Bidi, ClientStream, ServerStream, Unary, UnaryUndeclared};
use self::Server::{Aging, Core, Raw, Refusing};

#[rustfmt::skip] // a row a line
pub(crate) const SCENARIOS: &[Scenario] = &[
    at(Core, "ok", Unary),
    at(Core, "unavailable_twice", Unary),
    at(Core, "unavailable_always", Unary),
    at(Core, "internal", Unary),
    at(Core, "resource_exhausted", Unary),
    at(Raw, "unknown_status", Unary),
    at(Core, "undeclared", UnaryUndeclared),
    at(Core, "throttled", Unary).tokens(4),
    at(Core, "request_over_buffer", Unary).padded_to(300_000),
    at(Core, "pushback", Unary),
    at(Core, "pushback_zero", Unary).timeout_ms(2_000),
    at(Core, "pushback_then_backoff", Unary),
    at(Core, "pushback_negative", Unary),
    at(Raw, "pushback_unparsable", Unary),
    at(Raw, "pushback_given_twice", Unary),
    at(Core, "pushback_past_deadline", Unary).timeout_ms(1_000),
    at(Core, "retry_info", Unary),
    at(Core, "retry_info_and_pushback", Unary),
    at(Core, "deadline", Unary).timeout_ms(1_000),
    at(Core, "cancelled", Unary).cancel_after_ms(100),
    at(Core, "trailers_after_headers", Unary),
    at(Core, "server_stream", ServerStream),
    at(Core, "server_stream_after_headers", ServerStream),
    at(Core, "client_stream", ClientStream(&["1", "2", "3"])),
    at(Core, "client_stream_midway", ClientStream(&["1", "2", PAUSE, "3", "4"])),
    at(Core, "bidi", Bidi(&["1", "2", "3", "4", "5"])),
    at(Core, "bidi_after_reply", Bidi(&["1", "2"])),
    at(Raw, "refused_once", UnaryUndeclared),
    at(Raw, "refused_twice", UnaryUndeclared),
    at(Raw, "refused_always", Unary),
    at(Raw, "told_to_calm_down", Unary),
    at(Refusing, "refused_streams", Unary).times(10, 4).warm(),
    at(Refusing, "burst_before_settings", Unary).times(20, 1).retry_on(Code::ResourceExhausted),
    at(Aging, "connections_go_away", UnaryUndeclared).times(4, 40),
];

/// Among the messages of a request stream: nothing is sent for a while.
pub(crate) const PAUSE: &str = "pause";

/// One row of the table.
pub(crate) struct Scenario {
    pub(crate) server: Server,
    pub(crate) name: &'static str,
    pub(crate) call: Call,
    pub(crate) timeout: Option<Duration>,
    pub(crate) tokens: Option<u32>,
    pub(crate) retry_on: Code,
    pub(crate) padded_to: usize,
    pub(crate) at_once: usize,
    pub(crate) each: usize,
    pub(crate) warm: bool,
    pub(crate) cancel_after: Option<Duration>,
}

/// The servers of `server.py`.
#[derive(Clone, Copy)]
pub(crate) enum Server {
    /// C-core with its defaults.
    Core,
    /// C-core with `grpc.max_concurrent_streams`.
    Refusing,
    /// C-core with `grpc.max_connection_age_ms`.
    Aging,
    /// HTTP/2 by hand, for what C-core corrects before it sends it.
    Raw,
}

impl Server {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Refusing => "refusing",
            Self::Aging => "aging",
            Self::Raw => "raw",
        }
    }
}

/// What the client does.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    Unary,
    /// A unary call of a method that nobody declared idempotent.
    UnaryUndeclared,
    ServerStream,
    /// Sends all messages and ends its stream.
    ClientStream(&'static [&'static str]),
    /// Sends each message after the reply to the one before.
    Bidi(&'static [&'static str]),
}

const fn at(server: Server, name: &'static str, call: Call) -> Scenario {
    Scenario {
        server,
        name,
        call,
        timeout: None,
        tokens: None,
        retry_on: Code::Unavailable,
        padded_to: 0,
        at_once: 1,
        each: 1,
        warm: false,
        cancel_after: None,
    }
}

impl Scenario {
    const fn timeout_ms(mut self, millis: u64) -> Self {
        self.timeout = Some(Duration::from_millis(millis));
        self
    }

    /// The size of the bucket that throttles retries.
    const fn tokens(mut self, tokens: u32) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// The length of the message.
    const fn padded_to(mut self, length: usize) -> Self {
        self.padded_to = length;
        self
    }

    /// So many callers make so many calls each, one after the other, over one channel.
    const fn times(mut self, at_once: usize, each: usize) -> Self {
        self.at_once = at_once;
        self.each = each;
        self
    }

    /// A first call alone, so that the connection's SETTINGS are known.
    const fn warm(mut self) -> Self {
        self.warm = true;
        self
    }

    const fn cancel_after_ms(mut self, millis: u64) -> Self {
        self.cancel_after = Some(Duration::from_millis(millis));
        self
    }

    /// Retries this code too.
    const fn retry_on(mut self, code: Code) -> Self {
        self.retry_on = code;
        self
    }
}
