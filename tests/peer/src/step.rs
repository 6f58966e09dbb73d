//! What scripts are made of.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::frame::MAX_31_BIT;
use crate::{Gate, Headers, Reason};

/// One thing the peer does, or waits for, in the script of a stream or of a connection.
///
/// In the script of a connection, frames that belong to a stream are sent with the id of the newest stream.
#[derive(Clone, Debug)]
pub enum Step {
    /// Waits until the client has ended its side of this stream.
    AwaitRequest,
    /// Waits until so many bytes of this stream's body have arrived, or all there will be.
    AwaitBytes(usize),
    /// Waits until this connection has seen so many streams.
    AwaitStreams(usize),
    /// Waits until the client has said its connection preface.
    AwaitPreface,
    /// Waits until the test opens the gate.
    Gate(Gate),
    /// Waits so long, by tokio's clock; for tests that pause it.
    Wait(Duration),
    /// Sends a PING and waits for its answer: then the client has handled all that was sent before.
    Settle,
    /// Waits for ever.
    Stall,
    /// Sends a header block: a head, a Trailers-Only head or trailers.
    Headers(Headers),
    /// Sends a Trailers-Only head with this status, and with the trailer by which a server vouches
    /// that the request had no effect: `grpc-resilience-unprocessed`, with the request's `:path`.
    Vouch(i32),
    /// Sends DATA, exactly these bytes.
    Data(Bytes),
    /// Sends DATA that ends the stream.
    LastData(Bytes),
    /// Sends `RST_STREAM`.
    Reset(Reason),
    /// Sends GOAWAY.
    GoAway(LastStream, Reason),
    /// Sends SETTINGS with a new `MAX_CONCURRENT_STREAMS`.
    MaxConcurrentStreams(u32),
    /// Sends these bytes, frame or not.
    Bytes(Bytes),
    /// Leaves PING unanswered from now on.
    LeavePings,
    /// Turns the connection into a black hole: reads on, and sends nothing any more, not even an acknowledgement.
    Silence,
    /// Closes the socket for sending (FIN), and reads on until the client closes too.
    Close,
    /// Resets the TCP connection (RST).
    Abort,
}

impl Step {
    /// DATA with one gRPC message, uncompressed.
    #[must_use]
    pub fn message(message: impl AsRef<[u8]>) -> Self {
        let message = message.as_ref();
        let mut data = BytesMut::with_capacity(5 + message.len());
        data.put_u8(0);
        data.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        data.put_slice(message);
        Self::Data(data.freeze())
    }
}

/// The last stream a GOAWAY vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastStream {
    /// The one before this stream: this one was not processed.
    Below,
    /// This stream: it may have been processed.
    This,
    /// All streams that there can be, as in the first GOAWAY of a graceful shutdown.
    All,
    /// This id.
    Id(u32),
}

impl LastStream {
    pub(crate) fn id(self, stream: u32) -> u32 {
        match self {
            Self::Below => stream.saturating_sub(2),
            Self::This => stream,
            Self::All => MAX_31_BIT,
            Self::Id(id) => id,
        }
    }
}
