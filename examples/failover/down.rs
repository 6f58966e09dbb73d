//! No node is up: how long a call takes that waits for one, and one that does not.

use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience_examples::Transport;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use tonic::{Request, Status};

use crate::cluster::Cluster;
use crate::proto::GetRequest;
use crate::proto::kv_client::KvClient;
use grpc_resilience_examples::Failure;

pub(crate) const DEADLINE: Duration = Duration::from_millis(500);
const CALLS: u32 = 10;
/// The channel learns that its connections are gone.
const UNTIL_KNOWN: Duration = Duration::from_millis(100);

#[derive(Debug, Serialize)]
pub(crate) struct Down {
    /// Calls that wait for a node until their deadline.
    pub(crate) waiting: Ended,
    /// Calls that do not wait.
    pub(crate) fail_fast: Ended,
}

/// The calls of one kind.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Ended {
    pub(crate) shortest_ms: f64,
    pub(crate) longest_ms: f64,
    /// Of the last one.
    pub(crate) code: String,
    pub(crate) message: String,
}

/// Kills all nodes, and calls.
pub(crate) async fn calls(
    cluster: &mut Cluster,
    channel: &impl Transport,
) -> Result<Down, Failure> {
    cluster.kill_all().await?;
    sleep(UNTIL_KNOWN).await;
    let mut client = KvClient::new(channel.clone());
    let waiting = Ended::of(async || {
        let mut request = request();
        request.set_timeout(DEADLINE);
        client.get(request).await.map(drop)
    });
    let waiting = waiting.await;
    let fail_fast = Ended::of(async || {
        let mut request = request();
        request.call_options().fail_fast().never_retry();
        client.get(request).await.map(drop)
    });
    let fail_fast = fail_fast.await;
    Ok(Down { waiting, fail_fast })
}

fn request() -> Request<GetRequest> {
    Request::new(GetRequest { key: "key".into() })
}

impl Ended {
    async fn of(mut call: impl AsyncFnMut() -> Result<(), Status>) -> Self {
        let mut ended = Self {
            shortest_ms: f64::INFINITY,
            ..Self::default()
        };
        for _ in 0..CALLS {
            let began = Instant::now();
            let outcome = call().await;
            let took = began.elapsed().as_secs_f64() * 1000.0;
            ended.shortest_ms = ended.shortest_ms.min(took);
            ended.longest_ms = ended.longest_ms.max(took);
            let status = outcome.err().unwrap_or_else(|| Status::ok(""));
            ended.code = format!("{:?}", status.code());
            status.message().clone_into(&mut ended.message);
        }
        ended
    }
}
