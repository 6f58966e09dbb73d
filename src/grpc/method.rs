/// The kind of a method: which side sends one message, and which a stream.
///
/// On the wire, a unary response and a stream of one message look alike. A layer that knows that a
/// method answers with one message can hold the response head until the first frame, so it can
/// still retry a status in trailers (CONTRACT R6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MethodKind {
    /// One request message, one response message.
    Unary,
    /// One request message, a stream of response messages.
    ServerStreaming,
    /// A stream of request messages, one response message.
    ClientStreaming,
    /// Streams in both directions.
    BidiStreaming,
}

impl MethodKind {
    /// Whether the client may send any number of messages.
    #[must_use]
    pub fn asks_in_a_stream(self) -> bool {
        matches!(self, Self::ClientStreaming | Self::BidiStreaming)
    }

    /// Whether the server answers with exactly one message.
    #[must_use]
    pub fn answers_once(self) -> bool {
        matches!(self, Self::Unary | Self::ClientStreaming)
    }
}
