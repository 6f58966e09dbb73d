//! Raft over gRPC: the calling side, and the service that answers it.

use std::error::Error;
use std::time::Duration;

use openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{BasicNode, Raft};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::proto::Packet;
use crate::proto::raft_peer_client::RaftPeerClient;
use crate::proto::raft_peer_server::RaftPeer;
use crate::store::{NodeId, TypeConfig};

const PAUSE_AFTER_UNREACHABLE: Duration = Duration::from_millis(50);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(100);

type Sent<T, E = RaftError<NodeId>> = Result<T, RPCError<NodeId, BasicNode, E>>;

/// Makes the connections of one node to its peers.
pub(crate) struct Peers;

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, _: NodeId, node: &BasicNode) -> Peer {
        Peer {
            client: connect(&node.addr),
        }
    }
}

fn connect(address: &str) -> Result<RaftPeerClient<Channel>, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let channel = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .connect_lazy();
    Ok(RaftPeerClient::new(channel))
}

/// The connection of one node to one peer.
pub(crate) struct Peer {
    client: Result<RaftPeerClient<Channel>, tonic::transport::Error>,
}

impl Peer {
    fn client(&self) -> Result<RaftPeerClient<Channel>, Unreachable> {
        self.client
            .as_ref()
            .map(Clone::clone)
            .map_err(Unreachable::new)
    }
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        message: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Sent<AppendEntriesResponse<NodeId>> {
        Ok(open(
            self.client()?
                .append_entries(packet(&message, &option)?)
                .await,
        )?)
    }

    async fn install_snapshot(
        &mut self,
        message: InstallSnapshotRequest<TypeConfig>,
        option: RPCOption,
    ) -> Sent<InstallSnapshotResponse<NodeId>, RaftError<NodeId, InstallSnapshotError>> {
        Ok(open(
            self.client()?
                .install_snapshot(packet(&message, &option)?)
                .await,
        )?)
    }

    async fn vote(
        &mut self,
        message: VoteRequest<NodeId>,
        option: RPCOption,
    ) -> Sent<VoteResponse<NodeId>> {
        Ok(open(self.client()?.vote(packet(&message, &option)?).await)?)
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(PAUSE_AFTER_UNREACHABLE))
    }
}

fn packet(message: &impl Serialize, option: &RPCOption) -> Result<Request<Packet>, Unreachable> {
    let payload = postcard::to_stdvec(message).map_err(|e| Unreachable::new(&e))?;
    let mut request = Request::new(Packet { payload });
    request.set_timeout(option.hard_ttl());
    Ok(request)
}

fn open<T: DeserializeOwned>(reply: Result<Response<Packet>, Status>) -> Result<T, Unreachable> {
    let packet = reply
        .map_err(|status| Unreachable::new(&status))?
        .into_inner();
    postcard::from_bytes(&packet.payload).map_err(|e| Unreachable::new(&e))
}

/// Hands what peers send to the local Raft.
pub(crate) struct PeerService {
    pub(crate) raft: Raft<TypeConfig>,
}

#[tonic::async_trait]
impl RaftPeer for PeerService {
    async fn append_entries(&self, request: Request<Packet>) -> Result<Response<Packet>, Status> {
        answer(self.raft.append_entries(read(request)?).await)
    }

    async fn vote(&self, request: Request<Packet>) -> Result<Response<Packet>, Status> {
        answer(self.raft.vote(read(request)?).await)
    }

    async fn install_snapshot(&self, request: Request<Packet>) -> Result<Response<Packet>, Status> {
        answer(self.raft.install_snapshot(read(request)?).await)
    }
}

fn read<T: DeserializeOwned>(request: Request<Packet>) -> Result<T, Status> {
    postcard::from_bytes(&request.into_inner().payload)
        .map_err(|e| Status::invalid_argument(e.to_string()))
}

fn answer<T: Serialize, E: Error>(result: Result<T, E>) -> Result<Response<Packet>, Status> {
    let reply = result.map_err(|e| Status::unavailable(e.to_string()))?;
    let payload = postcard::to_stdvec(&reply).map_err(|e| Status::internal(e.to_string()))?;
    Ok(Response::new(Packet { payload }))
}
