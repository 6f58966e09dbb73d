//! Header blocks of answers.

use bytes::Bytes;

use crate::hpack;

/// One header block of an answer: a head, a Trailers-Only head, or trailers.
///
/// Names and values are sent as they are given, also where they are nonsense.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    fields: Vec<(Bytes, Bytes)>,
    ends_stream: bool,
}

impl Headers {
    /// No field at all.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The head of a proper answer: 200, `application/grpc`.
    #[must_use]
    pub fn response() -> Self {
        Self::http(200, "application/grpc")
    }

    /// The head of any HTTP answer.
    #[must_use]
    pub fn http(status: u16, content_type: &str) -> Self {
        Self::empty()
            .with(":status", status.to_string())
            .with("content-type", content_type.to_owned())
    }

    /// A Trailers-Only answer: head and `grpc-status` in one block, and the end of the stream.
    #[must_use]
    pub fn trailers_only(grpc_status: i32) -> Self {
        Self::response()
            .with("grpc-status", grpc_status.to_string())
            .ending_the_stream()
    }

    /// The trailers after a head, and the end of the stream.
    #[must_use]
    pub fn trailers(grpc_status: i32) -> Self {
        Self::empty()
            .with("grpc-status", grpc_status.to_string())
            .ending_the_stream()
    }

    /// Adds `grpc-message`; percent-encoding it is the caller's.
    #[must_use]
    pub fn message(self, message: &str) -> Self {
        self.with("grpc-message", message.to_owned())
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Bytes>) -> Self {
        self.fields
            .push((Bytes::from_static(name.as_bytes()), value.into()));
        self
    }

    /// The stream ends with this block.
    #[must_use]
    pub fn ending_the_stream(mut self) -> Self {
        self.ends_stream = true;
        self
    }

    pub(crate) fn ends_stream(&self) -> bool {
        self.ends_stream
    }

    pub(crate) fn block(&self) -> Bytes {
        hpack::encode(
            self.fields
                .iter()
                .map(|(name, value)| (&name[..], &value[..])),
        )
    }
}
