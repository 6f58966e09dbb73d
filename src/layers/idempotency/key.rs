use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, HeaderValue};
use uuid::Builder;

use crate::kernel::rng::Rng;

use super::InvalidKeyHeader;

/// The name of the IETF draft, `draft-ietf-httpapi-idempotency-key-header`.
const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Headers that gRPC or HTTP implementations and proxies write or interpret.
const RESERVED: [&str; 14] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

type Values = Arc<dyn Fn(&Parts) -> Option<HeaderValue> + Send + Sync>;

/// A header by which a server recognizes a repeated call: all attempts of a call carry one value.
/// See the [module](super).
#[derive(Clone)]
pub struct IdempotencyKey {
    header: HeaderName,
    value: Value,
    is_deduplicated: bool,
}

#[derive(Clone)]
enum Value {
    Random(Rng),
    By(Values),
}

impl IdempotencyKey {
    /// A random UUID for each call, in the header `idempotency-key`.
    ///
    /// The header has the name from the IETF draft, but not its quotes. For a server that requires
    /// the quotes, use [`from_request`](Self::from_request).
    #[must_use]
    pub fn random() -> Self {
        Self::of(Value::Random(Rng::default()))
    }

    /// A value computed from the head of each request. If the closure returns `None`, the call gets
    /// no key and its safety is unchanged.
    #[must_use]
    pub fn from_request<F>(value: F) -> Self
    where
        F: Fn(&Parts) -> Option<HeaderValue> + Send + Sync + 'static,
    {
        Self::of(Value::By(Arc::new(value)))
    }

    fn of(value: Value) -> Self {
        Self {
            header: HEADER,
            value,
            is_deduplicated: false,
        }
    }

    /// Sends the key in this header. Default: `idempotency-key`.
    ///
    /// # Errors
    ///
    /// [`InvalidKeyHeader`] if `name` is not a valid header name, ends in `-bin`, or is reserved by
    /// gRPC or HTTP.
    pub fn header(mut self, name: &str) -> Result<Self, InvalidKeyHeader> {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| InvalidKeyHeader::NotAName(name.to_owned()))?;
        let name = header.as_str();
        if name.starts_with("grpc-") || RESERVED.contains(&name) {
            return Err(InvalidKeyHeader::Reserved(header));
        }
        if name.ends_with("-bin") {
            return Err(InvalidKeyHeader::Binary(header));
        }
        self.header = header;
        Ok(self)
    }

    /// Declares that the server executes each key at most once, however often it arrives. A call
    /// that carries the key then is [`Safety::Idempotent`](crate::call::Safety::Idempotent).
    ///
    /// Default: not declared. The key is sent, but the safety of the call is unchanged, because a
    /// server that ignores the header would run the call twice.
    #[must_use]
    pub fn deduplicated(mut self) -> Self {
        self.is_deduplicated = true;
        self
    }

    /// The header that makes a call safe to repeat, if the server removes duplicates.
    pub(super) fn promotion(&self) -> Option<&HeaderName> {
        self.is_deduplicated.then_some(&self.header)
    }

    /// Whether the request has a key. An empty value does not identify a call.
    pub(super) fn is_in(&self, request: &Parts) -> bool {
        let value = request.headers.get(&self.header);
        value.is_some_and(|value| !value.is_empty())
    }

    /// Adds a key to the request, unless the caller set one.
    pub(super) fn write(&self, request: &mut Parts) {
        if request.headers.contains_key(&self.header) {
            return;
        }
        let value = match &self.value {
            Value::Random(rng) => random(rng),
            Value::By(value) => value(request),
        };
        if let Some(value) = value {
            request.headers.insert(self.header.clone(), value);
        }
    }
}

/// A UUID v4. Its text is always a valid header value.
fn random(rng: &Rng) -> Option<HeaderValue> {
    let uuid = Builder::from_random_bytes(rng.bytes()).into_uuid();
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text: &str = uuid.hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).ok()
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyKey")
            .field("header", &self.header)
            .field("is_random", &matches!(self.value, Value::Random(_)))
            .field("is_deduplicated", &self.is_deduplicated)
            .finish()
    }
}
