//! Client 3's channel: tonic's `balance_channel`, from which each node that is not the leader is
//! taken out by hand, as its health says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::leader_health::RAFT_LEADER;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::Status;
use tonic::transport::channel::Change;
use tonic::transport::{Channel, Endpoint};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::clients::endpoint;
use crate::count::{Attempts, Counted};
use grpc_resilience_examples::Failure;

const BETWEEN_WATCHES: Duration = Duration::from_millis(100);

/// The channel, which follows the leader while the tasks run.
pub(crate) fn channel(
    nodes: &[SocketAddr],
    attempts: &Arc<Attempts>,
) -> Result<(Counted<Channel>, JoinSet<()>), Failure> {
    let (channel, changes) = Channel::balance_channel(nodes.len() * 8);
    let mut watches = JoinSet::new();
    for &node in nodes {
        let member = Member {
            node,
            endpoint: endpoint(node)?,
            changes: changes.clone(),
            is_in: false,
        };
        watches.spawn(member.follow());
    }
    Ok((Counted::new(channel, Arc::clone(attempts)), watches))
}

/// A node that is in the balanced channel while it leads.
struct Member {
    node: SocketAddr,
    endpoint: Endpoint,
    changes: Sender<Change<SocketAddr, Endpoint>>,
    is_in: bool,
}

impl Member {
    /// Watches the node for ever.
    async fn follow(mut self) {
        let mut client = HealthClient::new(self.endpoint.connect_lazy());
        loop {
            // However the watch ends, the node is not known to be the leader.
            let _ = self.watch(&mut client).await;
            self.set(false).await;
            sleep(BETWEEN_WATCHES).await;
        }
    }

    async fn watch(&mut self, client: &mut HealthClient<Channel>) -> Result<(), Status> {
        let service = RAFT_LEADER.to_owned();
        let answers = client.watch(HealthCheckRequest { service }).await?;
        let mut answers = answers.into_inner();
        while let Some(answer) = answers.message().await? {
            self.set(answer.status == ServingStatus::Serving as i32)
                .await;
        }
        Ok(())
    }

    async fn set(&mut self, is_leader: bool) {
        if std::mem::replace(&mut self.is_in, is_leader) == is_leader {
            return;
        }
        let change = if is_leader {
            Change::Insert(self.node, self.endpoint.clone())
        } else {
            Change::Remove(self.node)
        };
        // The channel may be gone.
        let _ = self.changes.send(change).await;
    }
}
