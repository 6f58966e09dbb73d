//! What reached the server.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use http::HeaderMap;

use grpc_resilience_examples::show::series::Series;

/// All attempts that arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals {
    pub(crate) attempts: Series,
    /// By the header `grpc-previous-rpc-attempts`, 0 where there is none.
    pub(crate) by_previous: BTreeMap<u32, u32>,
    /// Those that reached the handler, by which of its call's it was, from 1.
    pub(crate) by_attempt: BTreeMap<u32, u32>,
    /// Connections that were accepted.
    pub(crate) connections: u32,
    of_call: HashMap<u32, u32>,
}

impl Arrivals {
    pub(crate) fn add(&mut self, at: Duration, headers: &HeaderMap) {
        self.attempts.add(at);
        *self.by_previous.entry(previous(headers)).or_default() += 1;
    }

    /// One reached the handler; which of its call's it is.
    pub(crate) fn handle(&mut self, call: u32) -> u32 {
        let attempt = self.of_call.entry(call).or_default();
        *attempt += 1;
        *self.by_attempt.entry(*attempt).or_default() += 1;
        *attempt
    }
}

fn previous(headers: &HeaderMap) -> u32 {
    headers
        .get("grpc-previous-rpc-attempts")
        .and_then(|count| count.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}
