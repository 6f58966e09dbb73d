//! Three nodes, and what can be done to them from outside: kill, restart, wait for a leader, wait
//! for quiet.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use openraft::{BasicNode, RaftMetrics};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::disk::Disk;
use crate::node::{Identity, Node, is_elected, leads};
use crate::port::Port;
use crate::referee::Referee;
use crate::store::NodeId;
use grpc_resilience_examples::Failure;

pub(crate) const NODES: NodeId = 3;
const PATIENCE: Duration = Duration::from_secs(15);
const GLANCE: Duration = Duration::from_millis(5);

/// A node that reported itself leader, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leader {
    pub(crate) id: NodeId,
    pub(crate) term: u64,
    pub(crate) seen_at: Instant,
}

pub(crate) struct Cluster {
    members: BTreeMap<NodeId, Member>,
}

struct Member {
    identity: Identity,
    node: Option<Node>,
    _port: Port,
}

impl Cluster {
    pub(crate) async fn start(referee: &Referee) -> Result<Self, Failure> {
        let mut members = BTreeMap::new();
        for id in 1..=NODES {
            members.insert(id, Member::start(id, referee.clone()).await?);
        }
        let cluster = Self { members };
        let everyone: BTreeMap<_, _> = cluster
            .members
            .iter()
            .map(|(&id, member)| (id, BasicNode::new(member.identity.address)))
            .collect();
        let (_, first) = cluster.running().next().ok_or("no node is running")?;
        first.raft().initialize(everyone).await?;
        cluster.leader().await?;
        Ok(cluster)
    }

    pub(crate) fn endpoints(&self) -> Vec<SocketAddr> {
        self.members
            .values()
            .map(|member| member.identity.address)
            .collect()
    }

    pub(crate) fn disks(&self) -> Vec<Disk> {
        self.members
            .values()
            .map(|member| member.identity.disk.clone())
            .collect()
    }

    /// Waits until any node leads.
    pub(crate) async fn leader(&self) -> Result<Leader, Failure> {
        self.first(leads).await
    }

    /// Waits until any node is elected for a later term than `term`.
    pub(crate) async fn elected_after(&self, term: u64) -> Result<Leader, Failure> {
        self.first(move |m| m.current_term > term && is_elected(m))
            .await
    }

    async fn first(
        &self,
        is_leader: impl Fn(&RaftMetrics<NodeId, BasicNode>) -> bool + Clone + Send + 'static,
    ) -> Result<Leader, Failure> {
        let mut candidates = JoinSet::new();
        for (id, node) in self.running() {
            let (mut metrics, is_leader) = (node.metrics(), is_leader.clone());
            candidates.spawn(async move {
                let led = metrics.wait_for(is_leader).await.ok()?;
                Some(Leader {
                    id,
                    term: led.current_term,
                    seen_at: Instant::now(),
                })
            });
        }
        let elected = async {
            while let Some(candidate) = candidates.join_next().await {
                if let Some(leader) = candidate? {
                    return Ok(leader);
                }
            }
            Err("every node stopped before one became leader".into())
        };
        timeout(PATIENCE, elected).await?
    }

    /// Kills the node as a crash would, and returns when it happened.
    pub(crate) fn kill(&mut self, id: NodeId) -> Result<Instant, Failure> {
        let node = self
            .member(id)?
            .node
            .take()
            .ok_or("the node is already dead")?;
        let killed_at = Instant::now();
        self.member(id)?.identity.referee.reigns.killed(id);
        drop(node);
        Ok(killed_at)
    }

    /// Waits until nothing of a killed node runs any more, and returns when that was.
    pub(crate) async fn wait_until_dead(&self, id: NodeId) -> Result<Instant, Failure> {
        let member = self.members.get(&id).ok_or("no such node")?;
        until(|| member.identity.disk.is_held_by_nobody_else()).await?;
        Ok(Instant::now())
    }

    /// Kills every node, and returns once nothing of them runs any more.
    pub(crate) async fn kill_all(&mut self) -> Result<(), Failure> {
        for member in self.members.values_mut() {
            member.node = None;
        }
        for id in self.members.keys() {
            self.wait_until_dead(*id).await?;
        }
        Ok(())
    }

    pub(crate) fn address(&self, id: NodeId) -> Result<SocketAddr, Failure> {
        let member = self.members.get(&id).ok_or("no such node")?;
        Ok(member.identity.address)
    }

    /// Starts a dead node again on its old port and its old disk.
    pub(crate) async fn restart(&mut self, id: NodeId) -> Result<(), Failure> {
        let member = self.member(id)?;
        member.node = Some(Node::start(member.identity.clone()).await?);
        Ok(())
    }

    /// Waits until the node has applied everything that is in the other nodes' logs now.
    pub(crate) async fn wait_until_rejoined(&self, id: NodeId) -> Result<(), Failure> {
        let others = self
            .members
            .values()
            .filter(|member| member.identity.id != id);
        let newest = others
            .filter_map(|other| other.identity.disk.last_log_index())
            .max();
        let member = self.members.get(&id).ok_or("no such node")?;
        until(|| member.identity.disk.last_applied().map(|id| id.index) >= newest).await
    }

    /// Waits until all nodes run and have applied the same entries, with nothing left to apply.
    pub(crate) async fn wait_until_quiet(&self) -> Result<(), Failure> {
        until(|| {
            let newest = self
                .members
                .values()
                .filter_map(|m| m.identity.disk.last_log_index())
                .max();
            self.running().count() == self.members.len()
                && self
                    .members
                    .values()
                    .all(|member| member.identity.disk.last_applied().map(|id| id.index) == newest)
        })
        .await
    }

    fn running(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.members
            .iter()
            .filter_map(|(&id, member)| Some((id, member.node.as_ref()?)))
    }

    fn member(&mut self, id: NodeId) -> Result<&mut Member, Failure> {
        self.members
            .get_mut(&id)
            .ok_or_else(|| "no such node".into())
    }
}

impl Member {
    async fn start(id: NodeId, referee: Referee) -> Result<Self, Failure> {
        let port = Port::reserve()?;
        let address = port.address()?;
        let identity = Identity {
            id,
            address,
            disk: Disk::default(),
            referee,
        };
        let node = Node::start(identity.clone()).await?;
        Ok(Self {
            identity,
            node: Some(node),
            _port: port,
        })
    }
}

async fn until(done: impl Fn() -> bool) -> Result<(), Failure> {
    let glances = async {
        while !done() {
            sleep(GLANCE).await;
        }
    };
    Ok(timeout(PATIENCE, glances).await?)
}
