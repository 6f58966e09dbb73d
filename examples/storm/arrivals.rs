//! What reached the server.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tonic::metadata::MetadataMap;

use crate::series::Series;

/// All attempts that arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals {
    pub(crate) attempts: Series,
    /// By the header `grpc-previous-rpc-attempts`, 0 where there is none.
    pub(crate) by_previous: BTreeMap<u32, u32>,
    /// By which of its call's attempts it was, from 1.
    pub(crate) by_attempt: BTreeMap<u32, u32>,
    of_call: HashMap<u32, u32>,
}

impl Arrivals {
    /// Returns which of its call's attempts it is.
    pub(crate) fn add(&mut self, at: Duration, call: u32, metadata: &MetadataMap) -> u32 {
        self.attempts.add(at);
        *self.by_previous.entry(previous(metadata)).or_default() += 1;
        let attempt = self.of_call.entry(call).or_default();
        *attempt += 1;
        *self.by_attempt.entry(*attempt).or_default() += 1;
        *attempt
    }
}

fn previous(metadata: &MetadataMap) -> u32 {
    metadata
        .get("grpc-previous-rpc-attempts")
        .and_then(|count| count.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}
