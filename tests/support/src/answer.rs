//! What a server does with one call.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tonic::{Code, Status, metadata::BinaryMetadataValue};

use crate::{
    kind::{End, Kind, Page, Reading},
    wire,
};

const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// UNAVAILABLE with this message.
pub fn unavailable(message: &str) -> Answer {
    Answer::status(Code::Unavailable, message)
}

/// What the server does with one call.
///
/// A constructor says what is sent; the setters say when ([`after`](Self::after),
/// [`reading_request`](Self::reading_request)) and what goes along ([`metadata`](Self::metadata) and its like).
/// A [`Script`](crate::Script) hands answers out to calls.
///
/// ```
/// use std::time::Duration;
/// use testing::Answer;
/// use tonic::Code;
///
/// let busy = Answer::status(Code::ResourceExhausted, "busy")
///     .retry_info(Duration::from_millis(300))
///     .after(Duration::from_secs(1));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Answer {
    pub(crate) kind: Kind,
    pub(crate) reading: Reading,
    pub(crate) delay: Duration,
    /// Added to the head of the response, whatever it is.
    pub(crate) head: HeaderMap,
    /// Added where the status is.
    pub(crate) metadata: HeaderMap,
}

/// What is sent.
impl Answer {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            reading: Reading::Nothing,
            delay: Duration::ZERO,
            head: HeaderMap::new(),
            metadata: HeaderMap::new(),
        }
    }

    /// The service under the script answers, as if there were no script.
    pub fn handler() -> Self {
        Self::new(Kind::Handler)
    }

    /// A status in the head of the response: Trailers-Only.
    pub fn status(code: Code, message: impl Into<String>) -> Self {
        Self::new(Kind::TrailersOnly(Status::new(code, message)))
    }

    /// HEADERS, then TRAILERS with the status, without data: what some servers and proxies send instead of
    /// Trailers-Only. With [`frame`](Self::frame), data comes in between.
    pub fn status_in_trailers(code: Code, message: impl Into<String>) -> Self {
        Self::new(Kind::Stream(
            Vec::new(),
            End::Status(Status::new(code, message)),
        ))
    }

    /// HEADERS, one data frame, then TRAILERS with the status. See [`grpc_frame`](crate::grpc_frame).
    pub fn status_after_message(
        code: Code,
        message: impl Into<String>,
        frame: impl Into<Bytes>,
    ) -> Self {
        Self::status_in_trailers(code, message).frame(frame)
    }

    /// An answer that is not gRPC, such as a proxy's 503 with a page of HTML.
    ///
    /// An empty `content_type` sends no such header.
    ///
    /// # Panics
    ///
    /// If HTTP allows no such content type.
    pub fn http(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Self {
        let content_type = Some(content_type).filter(|it| !it.is_empty());
        Self::new(Kind::Http(Page {
            status,
            content_type: content_type.map(|it| header_value(it.as_bytes())),
            body: body.into(),
        }))
    }

    /// No answer at all: the call stays open until the client gives up or the connection ends.
    ///
    /// tonic's server obeys `grpc-timeout`: it ends such a call itself (with CANCELLED) at that time.
    pub fn hang() -> Self {
        Self::new(Kind::Hang)
    }

    /// HEADERS, then nothing more: the call stays open until the client gives up or the connection ends.
    /// With [`frame`](Self::frame), data comes after the head.
    pub fn hang_after_head() -> Self {
        Self::new(Kind::Stream(Vec::new(), End::Hang))
    }

    /// Closes the connection that the call came on; other connections stay.
    pub fn drop_connection() -> Self {
        Self::new(Kind::DropConnection)
    }

    /// Sends these bytes as a data frame of their own; called again, another after it.
    ///
    /// # Panics
    ///
    /// If the answer is none of [`status_in_trailers`](Self::status_in_trailers),
    /// [`status_after_message`](Self::status_after_message) and [`hang_after_head`](Self::hang_after_head).
    pub fn frame(mut self, frame: impl Into<Bytes>) -> Self {
        let is_stream = if let Kind::Stream(frames, _) = &mut self.kind {
            frames.push(frame.into());
            true
        } else {
            false
        };
        assert!(is_stream, "this answer has no place for a data frame");
        self
    }
}

/// When it is sent.
impl Answer {
    /// Waits this long on tokio's clock, which a test can pause, before doing what the answer says.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Reads the whole request first, and only then waits and answers.
    pub fn reading_request(mut self) -> Self {
        self.reading = Reading::Everything;
        self
    }

    /// Reads this many messages of the request first (or all of it, if it has fewer).
    pub fn reading_messages(mut self, count: usize) -> Self {
        self.reading = Reading::Messages(count);
        self
    }
}

/// What goes along. An answer that is never sent ([`hang`](Answer::hang),
/// [`drop_connection`](Answer::drop_connection)) has no place for any of it.
impl Answer {
    /// Adds metadata beside the status: in the head if that is where the status is or if there is none, else in the
    /// trailers. Called again with the same name, the header is repeated. A name that the answer has of itself
    /// (`grpc-status`, say) is replaced.
    ///
    /// # Panics
    ///
    /// If HTTP allows no such name or value.
    pub fn metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.metadata
            .append(header_name(name), header_value(value.as_ref()));
        self
    }

    /// Adds a header to the head of the response, wherever the status is. Called again with the same name, the header
    /// is repeated. A name that the head has of itself (`content-type`, say) is replaced.
    ///
    /// # Panics
    ///
    /// If HTTP allows no such name or value.
    pub fn header_raw(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.head
            .append(header_name(name), header_value(value.as_ref()));
        self
    }

    /// Adds `grpc-status-details-bin`, encoded as gRPC asks. See [`details`](crate::details()).
    ///
    /// # Panics
    ///
    /// Never: base64 is a valid header value.
    pub fn details(self, details: impl AsRef<[u8]>) -> Self {
        let encoded = BinaryMetadataValue::from_bytes(details.as_ref());
        self.details_raw(encoded.as_encoded_bytes())
    }

    /// Adds `grpc-status-details-bin` as it is, to send what is malformed.
    ///
    /// # Panics
    ///
    /// If HTTP allows no such value.
    pub fn details_raw(mut self, encoded: impl AsRef<[u8]>) -> Self {
        self.metadata
            .append(DETAILS, header_value(encoded.as_ref()));
        self
    }

    /// Adds status details with a `google.rpc.RetryInfo` that asks for a retry after `delay`.
    ///
    /// # Panics
    ///
    /// If a protobuf duration cannot say `delay`.
    pub fn retry_info(self, delay: Duration) -> Self {
        self.details(wire::retry_info(delay))
    }

    /// Adds `grpc-retry-pushback-ms`, as it is.
    ///
    /// # Panics
    ///
    /// If HTTP allows no such value.
    pub fn pushback(mut self, milliseconds: impl AsRef<[u8]>) -> Self {
        self.metadata
            .append(PUSHBACK, header_value(milliseconds.as_ref()));
        self
    }
}

#[expect(
    clippy::expect_used,
    reason = "the test's author wrote the name, and has to hear of it"
)]
fn header_name(name: &str) -> HeaderName {
    HeaderName::from_bytes(name.as_bytes()).expect("HTTP allows this header name")
}

#[expect(
    clippy::expect_used,
    reason = "the test's author wrote the value, and has to hear of it"
)]
fn header_value(value: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(value).expect("HTTP allows this header value")
}
