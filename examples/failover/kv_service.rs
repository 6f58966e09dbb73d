//! The key-value service of one node: only the leader serves, all others refuse before doing
//! anything.

use grpc_resilience::raft;
use openraft::Raft;
use tonic::{Request, Response, Status};

use crate::disk::Disk;
use crate::node::leads;
use crate::proto::kv_server::Kv;
use crate::proto::{self, AppendReply, AppendRequest, GetReply, GetRequest, PutReply, PutRequest};
use crate::referee::Referee;
use crate::store::{Change, NodeId, Stamp, TypeConfig, Write};

pub(crate) struct KvService {
    pub(crate) id: NodeId,
    pub(crate) raft: Raft<TypeConfig>,
    pub(crate) disk: Disk,
    pub(crate) referee: Referee,
}

#[tonic::async_trait]
impl Kv for KvService {
    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutReply>, Status> {
        let PutRequest { stamp, key, value } = request.into_inner();
        let stamp = required(stamp)?;
        self.refuse_unless_leader()?;
        let change = Change::Put(value);
        self.replicate(Write { stamp, key, change }).await?;
        Ok(Response::new(PutReply {}))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetReply>, Status> {
        self.refuse_unless_leader()?;
        // Whatever the error is, a read has no effect.
        let fresh = self.raft.ensure_linearizable().await;
        fresh.map_err(|_| self.not_leader())?;
        let key = request.into_inner().key;
        Ok(Response::new(GetReply {
            value: self.disk.with_store(|store| store.get(&key)),
        }))
    }

    async fn append(
        &self,
        request: Request<AppendRequest>,
    ) -> Result<Response<AppendReply>, Status> {
        let AppendRequest { stamp, key, value } = request.into_inner();
        let stamp = required(stamp)?;
        self.refuse_unless_leader()?;
        self.referee.saw_undeclared_call(stamp);
        let change = Change::Append(value);
        self.replicate(Write { stamp, key, change }).await?;
        Ok(Response::new(AppendReply {}))
    }
}

impl KvService {
    fn refuse_unless_leader(&self) -> Result<(), Status> {
        if leads(&self.raft.metrics().borrow()) {
            Ok(())
        } else {
            Err(self.not_leader())
        }
    }

    /// Names the leader by its address, if this node knows it and does not take itself for it.
    fn not_leader(&self) -> Status {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let mut nodes = metrics.membership_config.nodes();
        let leader = metrics.current_leader.filter(|it| *it != self.id);
        let leader = nodes.find(|(id, _)| leader == Some(**id));
        raft::not_leader(leader.map(|(_, node)| &*node.addr))
    }

    /// openraft reports an entry that it removed, because the leadership was lost, with the error
    /// of a request to a follower. The entry may still be in another node's log, and so be applied.
    async fn replicate(&self, write: Write) -> Result<(), Status> {
        let written = self.raft.client_write(write).await;
        written.map(drop).map_err(|e| raft::lost(e.to_string()))
    }
}

fn required(stamp: Option<proto::Stamp>) -> Result<Stamp, Status> {
    let proto::Stamp { client, serial } =
        stamp.ok_or_else(|| Status::invalid_argument("a write needs a stamp"))?;
    Ok(Stamp { client, serial })
}
