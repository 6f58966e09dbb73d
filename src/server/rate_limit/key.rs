use std::fmt;
use std::sync::Arc;

use http::HeaderName;
use http::request::Parts;

use super::peer;

/// Returned for a name that is not a key of ASCII metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a key of ASCII metadata: use lower case without -bin, like x-tenant")]
pub struct InvalidMetadataKey(pub(super) String);

/// Selects the bucket of a request.
#[derive(Clone, Default)]
pub(super) enum Key {
    /// One bucket for all requests.
    #[default]
    Common,
    Metadata(HeaderName),
    Peer,
    Closure(Arc<Closure>),
}

type Closure = dyn Fn(&Parts) -> Option<String> + Send + Sync;

impl Key {
    pub(super) fn metadata(name: &str) -> Result<Self, InvalidMetadataKey> {
        let invalid = || InvalidMetadataKey(name.to_owned());
        // Equal bytes have several base64 encodings.
        if name.ends_with("-bin") || name.contains(|it: char| it.is_ascii_uppercase()) {
            return Err(invalid());
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        Ok(Self::Metadata(name))
    }

    /// Calls `then` with the request's key, or with `None` for the common bucket. Returns `None`
    /// without a call if the request has no limit.
    pub(super) fn with<T>(
        &self,
        parts: &mut Parts,
        then: impl FnOnce(&Parts, Option<&[u8]>) -> T,
    ) -> Option<T> {
        Some(match self {
            Self::Common => then(parts, None),
            Self::Metadata(name) => {
                let value = parts.headers.get(name).map(http::HeaderValue::as_bytes);
                then(parts, value)
            }
            Self::Peer => match peer::network(parts) {
                Some(peer::Network::V4(octets)) => then(parts, Some(&octets)),
                Some(peer::Network::V6(octets)) => then(parts, Some(&octets)),
                None => then(parts, None),
            },
            Self::Closure(key) => {
                let key = key(parts)?;
                then(parts, Some(key.as_bytes()))
            }
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Common => f.write_str("Common"),
            Self::Metadata(name) => f.debug_tuple("Metadata").field(name).finish(),
            Self::Peer => f.write_str("Peer"),
            Self::Closure(_) => f.write_str("Closure"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_ascii_metadata_are_taken() {
        assert!(Key::metadata("x-tenant").is_ok());
        for name in ["", "x tenant", "x-tenant-bin", "X-Tenant", "x\n"] {
            let expected = InvalidMetadataKey(name.to_owned());
            assert_eq!(Key::metadata(name).unwrap_err(), expected);
        }
    }
}
