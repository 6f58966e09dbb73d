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

/// Lets no more requests through to a server than its quotas say; see the [module](super).
///
/// Clones, and the services that they make, share their buckets. Each setter makes a layer with buckets
/// of its own, full ones.
#[derive(Clone)]
pub struct ServerRateLimitLayer {
    settings: Settings,
    limits: Arc<Limits>,
}

impl ServerRateLimitLayer {
    /// One quota for all methods that have none of their own.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self::with(vec![quota], Some(0))
    }

    /// No limit but for the methods that are [named](Self::method).
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
            // The longest that a client should hang on a promise: gRPC has no default deadline.
            longest_promise: Duration::from_secs(60),
            // A caller comes one round trip later than it was told; those around the world take this.
            grace: Duration::from_millis(250),
            max_keys: 100_000,
        };
        Self {
            limits: limits(&settings),
            settings,
        }
    }

    /// A quota of their own for the methods that match, which share it: an exact path beats a glob, the
    /// first glob the others. An equal pattern is replaced.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
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

    /// A bucket for each value of this metadata; requests without it share one. Of a repeated one the
    /// first value counts. A caller can write what it likes, so authenticate it above this layer.
    ///
    /// # Errors
    ///
    /// [`InvalidMetadataKey`] if no ASCII metadata has such a key.
    pub fn by_metadata(self, key: &str) -> Result<Self, InvalidMetadataKey> {
        let key = Key::metadata(key)?;
        Ok(self.set(|settings| settings.key = key))
    }

    /// A bucket for each remote IP address, of IPv6 for each /64, since a host has all addresses of
    /// one at its disposal (RFC 6177). An IPv4 address is the same in every form: also as
    /// `::ffff:192.0.2.1`, and as `64:ff9b::192.0.2.1` (RFC 6052). Requests that did not come over
    /// tonic's TCP share one. Behind a proxy that address is the proxy's.
    #[must_use]
    pub fn by_peer(self) -> Self {
        self.set(|settings| settings.key = Key::Peer)
    }

    /// A bucket for each key that the closure reads from the head of a request. There is no limit for
    /// requests for which it says `None`.
    #[must_use]
    pub fn key_by<F>(self, key: F) -> Self
    where
        F: Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    {
        self.set(|settings| settings.key = Key::Closure(Arc::new(key)))
    }

    /// Refuses without `RetryInfo` and without pushback, and promises nothing: whoever comes first takes
    /// the next cell.
    #[must_use]
    pub fn without_hints(self) -> Self {
        self.set(|settings| settings.hints = false)
    }

    /// How far ahead a cell is promised at most; a caller's own timeout may be shorter. Default: 60 s.
    #[must_use]
    pub fn longest_promise(self, longest: Duration) -> Self {
        self.set(|settings| settings.longest_promise = longest)
    }

    /// How late a caller may come for its promise; those behind it wait for their cells as long.
    /// Default: 250 ms, a round trip around the world.
    ///
    /// Its cell is kept meanwhile for half of the time, at most, for which the burst holds one,
    /// since what a full bucket keeps for one caller is lost to all. After that it gets the next
    /// one; see the [module](super).
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        self.set(|settings| settings.grace = grace)
    }

    /// How many keys have a bucket of their own, for each quota; further ones share one. Default:
    /// 100,000, some 30 MB if callers invent them. Keys whose bucket is full again are forgotten.
    #[must_use]
    pub fn max_keys(self, keys: usize) -> Self {
        self.set(|settings| settings.max_keys = keys)
    }

    /// What it has done so far, its clones and services included. Looks at each key.
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
