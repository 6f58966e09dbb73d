use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use tokio::time::Instant;

use crate::methods::{MethodTable, method_of};

use super::Quota;
use super::caller::Caller;
use super::key::Key;
use super::meter::Refusal;
use super::meters::{BucketSpec, Meters};
use super::pace::Pace;
use super::snapshot::{Counters, RateLimitSnapshot};

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) quotas: Vec<Quota>,
    /// The index of the quota for methods without their own.
    pub(super) others: Option<usize>,
    pub(super) methods: MethodTable<usize>,
    pub(super) key: Key,
    pub(super) hints: bool,
    pub(super) longest_promise: Duration,
    pub(super) grace: Duration,
    pub(super) max_keys: usize,
}

/// The buckets of a layer, shared by its services.
#[derive(Debug)]
pub(super) struct Limits {
    meters: Vec<Meters>,
    settings: Settings,
    counters: Arc<Counters>,
}

impl Limits {
    pub(super) fn new(settings: Settings, now: Instant) -> Self {
        let counters = Arc::new(Counters::default());
        let meters = settings.quotas.iter().map(|quota| {
            let made = BucketSpec {
                pace: Pace::new(*quota, settings.grace),
                counters: Arc::clone(&counters),
                max_keys: settings.max_keys,
            };
            Meters::new(made, now)
        });
        Self {
            meters: meters.collect(),
            settings,
            counters,
        }
    }

    /// Takes a cell for the request if it has a limit, and returns how long the request waits for
    /// it.
    pub(super) fn check(&self, parts: &mut Parts, now: Instant) -> Result<Duration, Refusal> {
        let Settings {
            others,
            methods,
            key,
            hints,
            longest_promise,
            ..
        } = &self.settings;
        let named = methods.find(method_of(parts.uri.path()));
        let Some(meters) = named
            .or(others.as_ref())
            .and_then(|it| self.meters.get(*it))
        else {
            return Ok(Duration::ZERO);
        };
        let longest = if *hints {
            *longest_promise
        } else {
            // Without hints the caller does not learn of a promise, so none is made.
            Duration::ZERO
        };
        let check = |parts: &Parts, key: Option<&[u8]>| {
            meters.check(key, Caller::of(&parts.headers, longest), now)
        };
        key.with(parts, check).unwrap_or(Ok(Duration::ZERO))
    }

    pub(super) fn says_hints(&self) -> bool {
        self.settings.hints
    }

    pub(super) fn snapshot(&self, now: Instant) -> RateLimitSnapshot {
        for meters in &self.meters {
            meters.lapse(now);
        }
        self.counters.snapshot()
    }
}
