use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use tokio::time::Instant;
use tower_layer::Layer;

use crate::methods::{InvalidPattern, MethodTable};

use super::key::{InvalidMetadataKey, Key};
use super::limits::{Limits, Settings};
use super::{Quota, RateLimitSnapshot, ServerRateLimit};

/// Limits the requests that reach a server by quotas; see the [module](super).
///
/// Clones, and the services that they make, share their buckets. Each setter returns a layer with
/// full buckets of its own.
#[derive(Clone)]
pub struct ServerRateLimitLayer {
    settings: Settings,
    limits: Arc<Limits>,
}

impl ServerRateLimitLayer {
    /// A layer with one quota for all methods without their own.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self::with(vec![quota], Some(0))
    }

    /// A layer without a quota, except for the methods that are [named](Self::method).
    #[must_use]
    pub fn unlimited() -> Self {
        Self::with(Vec::new(), None)
    }

    fn with(quotas: Vec<Quota>, others: Option<usize>) -> Self {
        let settings = Settings {
            quotas,
            others,
            methods: MethodTable::default(),
            key: Key::default(),
            hints: true,
            // A client should not hang longer on a promise: gRPC has no default deadline.
            longest_promise: Duration::from_secs(60),
            // A caller returns one round trip later than its time; this is one around the world.
            grace: Duration::from_millis(250),
            max_keys: 100_000,
        };
        Self {
            limits: limits(&settings),
            settings,
        }
    }

    /// Adds a quota that all methods that match the pattern share. An exact path wins over a glob,
    /// and the first glob over later ones. A quota with an equal pattern is replaced.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method path or its glob is malformed.
    pub fn method(self, pattern: &str, quota: Quota) -> Result<Self, InvalidPattern> {
        let mut settings = self.settings;
        let index = settings.quotas.len();
        settings.methods.replace(pattern, index)?;
        settings.quotas.push(quota);
        Ok(Self {
            limits: limits(&settings),
            settings,
        })
    }

    /// Uses a bucket for each value of this metadata key. Requests without it share one. Of a
    /// repeated key the first value counts. A caller can send any value, so authenticate it above
    /// this layer.
    ///
    /// # Errors
    ///
    /// [`InvalidMetadataKey`] if the name is not a key of ASCII metadata.
    pub fn by_metadata(self, key: &str) -> Result<Self, InvalidMetadataKey> {
        let key = Key::metadata(key)?;
        Ok(self.set(|settings| settings.key = key))
    }

    /// Uses a bucket for each remote IP address, and for IPv6 one for each /64, because a host
    /// controls all addresses of its /64 (RFC 6177). An IPv4 address is recognized in every form:
    /// also as `::ffff:192.0.2.1`, and as `64:ff9b::192.0.2.1` (RFC 6052). Requests that did not
    /// arrive over tonic's TCP share one bucket. Behind a proxy the address is the proxy's.
    #[must_use]
    pub fn by_peer(self) -> Self {
        self.set(|settings| settings.key = Key::Peer)
    }

    /// Uses a bucket for each key that the closure reads from the head of a request. A request for
    /// which it returns `None` has no limit.
    #[must_use]
    pub fn key_by<F>(self, key: F) -> Self
    where
        F: Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    {
        self.set(|settings| settings.key = Key::Closure(Arc::new(key)))
    }

    /// Refuses without `RetryInfo` and without pushback, and promises no cells: the first caller to
    /// arrive takes the next cell. Default: with hints.
    #[must_use]
    pub fn without_hints(self) -> Self {
        self.set(|settings| settings.hints = false)
    }

    /// Limits how far ahead a cell is promised; a caller's own timeout may limit it further.
    /// Default: 60 s.
    #[must_use]
    pub fn longest_promise(self, longest: Duration) -> Self {
        self.set(|settings| settings.longest_promise = longest)
    }

    /// Sets how late a caller may return for its promise. Callers behind it wait for their cells as
    /// long. Default: 250 ms, a round trip around the world.
    ///
    /// The cell is kept for the late caller for at most half of the time for which the burst holds
    /// a cell, because a cell that a full bucket keeps for one caller is lost to all. After that
    /// the caller gets the next cell; see the [module](super).
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        self.set(|settings| settings.grace = grace)
    }

    /// Limits the keys with a bucket of their own, for each quota; further ones share one. Default:
    /// 100,000, about 30 MB if callers invent keys. A key whose bucket is full again is forgotten.
    #[must_use]
    pub fn max_keys(self, keys: usize) -> Self {
        self.set(|settings| settings.max_keys = keys)
    }

    /// The counts so far, including clones and services. Visits every key.
    #[must_use]
    pub fn snapshot(&self) -> RateLimitSnapshot {
        self.limits.snapshot(Instant::now())
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self.limits = limits(&self.settings);
        self
    }
}

fn limits(settings: &Settings) -> Arc<Limits> {
    Arc::new(Limits::new(settings.clone(), Instant::now()))
}

impl<S> Layer<S> for ServerRateLimitLayer {
    type Service = ServerRateLimit<S>;

    fn layer(&self, inner: S) -> ServerRateLimit<S> {
        ServerRateLimit::new(inner, Arc::clone(&self.limits))
    }
}

impl fmt::Debug for ServerRateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerRateLimitLayer")
            .field(&self.settings)
            .finish()
    }
}
