//! One node: a runtime of its own that holds a Raft and its gRPC server, and dies with both.

use std::net::SocketAddr;
use std::sync::Arc;

use grpc_resilience::ServerDeadlineLayer;
use grpc_resilience::leader_health::LeaderHealth;
use openraft::{BasicNode, Config, Raft, RaftMetrics, ServerState, SnapshotPolicy};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::disk::Disk;
use crate::kv_service::KvService;
use crate::network::{PeerService, Peers};
use crate::port;
use crate::proto::kv_server::KvServer;
use crate::proto::raft_peer_server::RaftPeerServer;
use crate::referee::Referee;
use crate::reigns::Reigns;
use crate::store::{NodeId, TypeConfig};
use grpc_resilience_examples::Failure;

const HEARTBEAT_MS: u64 = 50;

/// When a follower stands for election: each node in a narrow window of its own within 150 to
/// 300 ms, so that two of them do not stand at once and split the vote. The windows lie low because
/// openraft adds the end of the window as the leader's lease, and twice the end for a node that
/// ever lost a vote to a longer log.
fn election_ms(id: NodeId) -> std::ops::Range<u64> {
    let start = 150 + 20 * (id - 1);
    start..start + 5
}

/// What a node is made of besides its runtime; all of it outlives the node.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) id: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) disk: Disk,
    pub(crate) referee: Referee,
}

/// A running node. Dropping it is a crash: its tasks and sockets are gone without a goodbye.
pub(crate) struct Node {
    raft: Raft<TypeConfig>,
    _process: Process,
}

impl Node {
    pub(crate) async fn start(identity: Identity) -> Result<Self, Failure> {
        let process = Process::new(identity.id)?;
        let raft = process.run(serve(identity)).await?;
        Ok(Self {
            raft,
            _process: process,
        })
    }

    pub(crate) fn raft(&self) -> &Raft<TypeConfig> {
        &self.raft
    }

    pub(crate) fn metrics(&self) -> watch::Receiver<RaftMetrics<NodeId, BasicNode>> {
        self.raft.metrics()
    }
}

/// Stands in for an operating system process; dropping it kills everything that runs in it.
struct Process {
    runtime: Option<Runtime>,
}

impl Process {
    fn new(id: NodeId) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(format!("node-{id}"))
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let runtime = self.runtime.as_ref().ok_or("the process is dead")?;
        runtime.spawn(work).await?
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(identity: Identity) -> Result<Raft<TypeConfig>, Failure> {
    let listener = port::listen(identity.address).await?;
    let Identity {
        id, disk, referee, ..
    } = identity;
    let raft = Raft::new(
        id,
        Arc::new(raft_config(id)?),
        Peers,
        disk.clone(),
        disk.clone(),
    )
    .await?;
    let reigns = referee.reigns.clone();
    let kv = KvService {
        id,
        raft: raft.clone(),
        disk,
        referee,
    };
    let (reporter, health) = tonic_health::server::health_reporter();
    let health_of_leader =
        LeaderHealth::start(reporter, ["failover.v1.Kv"], leadership(id, &raft, reigns)).await;
    // The layer writes the promise of `raft::not_leader` into answers.
    let server = Server::builder()
        .layer(ServerDeadlineLayer::new())
        .add_service(health)
        .add_service(KvServer::new(kv))
        .add_service(RaftPeerServer::new(PeerService { raft: raft.clone() }))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tokio::spawn(async move {
        let _until_the_server_ends = health_of_leader;
        server.await
    });
    Ok(raft)
}

/// Whether the node takes itself for the leader.
pub(crate) fn is_elected(metrics: &RaftMetrics<NodeId, BasicNode>) -> bool {
    metrics.state == ServerState::Leader && metrics.current_leader == Some(metrics.id)
}

/// Whether the node leads: a quorum has followed it since it started. openraft lets a leader that
/// was killed start as the leader of its old term, which it is until it hears of a later one.
pub(crate) fn leads(metrics: &RaftMetrics<NodeId, BasicNode>) -> bool {
    is_elected(metrics) && metrics.millis_since_quorum_ack.is_some()
}

/// That, and each change of it, until the node dies.
fn leadership(id: NodeId, raft: &Raft<TypeConfig>, reigns: Reigns) -> watch::Receiver<bool> {
    let mut metrics = raft.metrics();
    let (leadership, follows) = watch::channel(leads(&metrics.borrow_and_update()));
    tokio::spawn(async move {
        while metrics.changed().await.is_ok() {
            let leads = leads(&metrics.borrow_and_update());
            if leadership.send_if_modified(|it| std::mem::replace(it, leads) != leads) {
                reigns.leads(id, leads);
            }
        }
    });
    follows
}

/// No node ever lags so far that a snapshot would be cheaper than the log.
fn raft_config(id: NodeId) -> Result<Config, Failure> {
    let election = election_ms(id);
    let config = Config {
        cluster_name: "failover".to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: election.start,
        election_timeout_max: election.end,
        snapshot_policy: SnapshotPolicy::Never,
        replication_lag_threshold: u64::MAX,
        ..Config::default()
    };
    Ok(config.validate()?)
}
