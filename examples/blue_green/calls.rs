//! The load: 16 workers whose calls take 50 ms, and 4 server streams.

use std::sync::Arc;
use std::time::Duration;

use grpc_resilience_examples::fleet::{Record, workers};
use grpc_resilience_examples::show::promise::Promise;
use tokio::time::Instant;

use crate::client::Client;
use crate::streams::{Streams, follow};

const WORKERS: u32 = 16;
const STREAMS: u32 = 4;

/// What the client saw.
pub(crate) struct Seen {
    pub(crate) record: Record,
    pub(crate) streams: Arc<Streams>,
}

/// Runs the load for this time.
pub(crate) async fn load(client: &Client, opening: Instant, length: Duration) -> Seen {
    let (record, streams) = tokio::join!(
        workers(client, WORKERS, opening, length),
        follow(client, STREAMS, length)
    );
    Seen { record, streams }
}

impl Seen {
    /// No call and no stream failed.
    pub(crate) fn none_failed(&self, experiment: &'static str, while_what: &str) -> [Promise; 2] {
        let Self { record, streams } = self;
        [
            Promise::new(
                experiment,
                format!("{while_what}: 0 calls failed"),
                record.failures(),
                record.failed() == 0 && record.total() > 0,
            ),
            Promise::new(
                experiment,
                format!("{while_what}: 0 streams failed"),
                streams.failures(),
                streams.failed() == 0,
            ),
        ]
    }
}
