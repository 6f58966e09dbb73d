//! What a test writes down: what each connection and each of its streams meets.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::frame::MAX_31_BIT;
use crate::{Headers, LastStream, Reason, Step};

/// What one stream meets, from the moment its HEADERS have arrived.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    steps: Vec<Step>,
}

impl Stream {
    /// Nothing at all, to be continued with [`then`](Self::then); left as it is, it never answers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A correct answer of one message to the whole request.
    #[must_use]
    pub fn ok(message: impl AsRef<[u8]>) -> Self {
        Self::new()
            .then(Step::AwaitRequest)
            .then(Step::Headers(Headers::response()))
            .then(Step::message(message))
            .then(Step::Headers(Headers::trailers(0)))
    }

    /// A Trailers-Only answer to the whole request.
    #[must_use]
    pub fn status(grpc_status: i32, message: &str) -> Self {
        let head = Headers::trailers_only(grpc_status).message(message);
        Self::new()
            .then(Step::AwaitRequest)
            .then(Step::Headers(head))
    }

    /// A whole HTTP answer with a body, such as a proxy's 503 in HTML.
    #[must_use]
    pub fn http(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::new()
            .then(Step::AwaitRequest)
            .then(Step::Headers(Headers::http(status, content_type)))
            .then(Step::LastData(body.into()))
    }

    /// `RST_STREAM(REFUSED_STREAM)` at once.
    #[must_use]
    pub fn refuse() -> Self {
        Self::new().then(Step::Reset(Reason::REFUSED_STREAM))
    }

    /// `RST_STREAM` once the whole request is there.
    #[must_use]
    pub fn reset(reason: Reason) -> Self {
        Self::new()
            .then(Step::AwaitRequest)
            .then(Step::Reset(reason))
    }

    /// No answer, ever.
    #[must_use]
    pub fn stall() -> Self {
        Self::new().then(Step::Stall)
    }

    /// Goes on with this step.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Does this first.
    #[must_use]
    pub fn after(mut self, step: Step) -> Self {
        self.steps.insert(0, step);
        self
    }

    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}

impl<S: IntoIterator<Item = Step>> From<S> for Stream {
    fn from(steps: S) -> Self {
        Self {
            steps: steps.into_iter().collect(),
        }
    }
}

/// What one connection meets.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) streams: VecDeque<Stream>,
    pub(crate) other_streams: Stream,
    pub(crate) steps: Vec<Step>,
    pub(crate) reflexes: Reflexes,
    pub(crate) max_concurrent_streams: Option<u32>,
    pub(crate) stream_window: u32,
}

/// What a connection does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reflexes {
    /// SETTINGS, acknowledgements and windows.
    All,
    /// All but the answers to PING.
    NoPong,
    /// Nothing: only what its script says.
    None,
    /// Nothing, whatever its script says.
    Mute,
}

impl Connection {
    /// A proper HTTP/2 connection that answers every stream with OK and an empty message.
    #[must_use]
    pub fn new() -> Self {
        Self {
            streams: VecDeque::new(),
            other_streams: Stream::ok(b""),
            steps: Vec::new(),
            reflexes: Reflexes::All,
            max_concurrent_streams: None,
            stream_window: MAX_31_BIT,
        }
    }

    /// Accepts and reads, and by itself says nothing: no SETTINGS, no acknowledgement, no answer to PING or to a stream.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            reflexes: Reflexes::None,
            other_streams: Stream::stall(),
            ..Self::new()
        }
    }

    /// Closes (FIN) as soon as it is accepted.
    #[must_use]
    pub fn closed() -> Self {
        Self::silent().then(Step::Close)
    }

    /// An HTTP/1 server: 400 to the preface, and closes.
    #[must_use]
    pub fn http1() -> Self {
        Self::garbage(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..])
    }

    /// Answers the preface with these bytes, and closes.
    #[must_use]
    pub fn garbage(bytes: impl Into<Bytes>) -> Self {
        Self::silent()
            .then(Step::AwaitPreface)
            .then(Step::Bytes(bytes.into()))
            .then(Step::Close)
    }

    /// What the next streams meet, in the order of their arrival.
    #[must_use]
    pub fn streams(mut self, streams: impl IntoIterator<Item = Stream>) -> Self {
        self.streams.extend(streams);
        self
    }

    /// What all further streams meet.
    #[must_use]
    pub fn other_streams(mut self, stream: Stream) -> Self {
        self.other_streams = stream;
        self
    }

    /// Does this beside its streams, from the moment it is accepted; goes on where the last such step ended.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Sends a GOAWAY as soon as so many streams have arrived; the last one of them is "this stream".
    #[must_use]
    pub fn goaway_after(self, streams: usize, last: LastStream, reason: Reason) -> Self {
        self.then(Step::AwaitStreams(streams))
            .then(Step::GoAway(last, reason))
    }

    /// Announces `MAX_CONCURRENT_STREAMS` in its first SETTINGS; 0 never opens a slot.
    ///
    /// A client may send up to its own guess of streams (hyper: 100) before these SETTINGS reach it. Where
    /// that matters, connect first and wait for [`settings_acknowledged`](crate::Peer::settings_acknowledged).
    #[must_use]
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.max_concurrent_streams = Some(streams);
        self
    }

    /// Lets the client send only so many bytes of body a stream, and never more.
    #[must_use]
    pub fn stream_window(mut self, bytes: u32) -> Self {
        self.stream_window = bytes;
        self
    }

    /// Leaves PING unanswered.
    #[must_use]
    pub fn without_pong(mut self) -> Self {
        self.reflexes = Reflexes::NoPong;
        self
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}
