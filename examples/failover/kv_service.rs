//! The key-value service of one node: only the leader serves, everyone else refuses before doing anything.

use openraft::Raft;
use openraft::error::{ClientWriteError, RaftError};
use tonic::{Request, Response, Status};

use crate::disk::Disk;
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
        let written = self
            .replicate(Write {
                stamp,
                key,
                change: Change::Put(value),
            })
            .await;
        written.map_err(|e| Status::unavailable(e.to_string()))?;
        Ok(Response::new(PutReply {}))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetReply>, Status> {
        self.refuse_unless_leader()?;
        let fresh = self.raft.ensure_linearizable().await;
        fresh.map_err(|e| Status::unavailable(e.to_string()))?;
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
        self.referee.saw_undeclared_call(stamp);
        self.refuse_unless_leader()?;
        let written = self
            .replicate(Write {
                stamp,
                key,
                change: Change::Append(value),
            })
            .await;
        written.map_err(why_an_append_failed)?;
        Ok(Response::new(AppendReply {}))
    }
}

type Replicated = Result<(), RaftError<NodeId, ClientWriteError<NodeId, openraft::BasicNode>>>;

impl KvService {
    fn refuse_unless_leader(&self) -> Result<(), Status> {
        if self.raft.metrics().borrow().current_leader == Some(self.id) {
            Ok(())
        } else {
            Err(Status::unavailable("not the leader"))
        }
    }

    async fn replicate(&self, write: Write) -> Replicated {
        self.raft.client_write(write).await.map(drop)
    }
}

fn required(stamp: Option<proto::Stamp>) -> Result<Stamp, Status> {
    let proto::Stamp { client, serial } =
        stamp.ok_or_else(|| Status::invalid_argument("a write needs a stamp"))?;
    Ok(Stamp { client, serial })
}

/// A lost leadership is the usual UNAVAILABLE; anything else leaves open whether the append will be applied.
fn why_an_append_failed(
    error: RaftError<NodeId, ClientWriteError<NodeId, openraft::BasicNode>>,
) -> Status {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(e)) => {
            Status::unavailable(e.to_string())
        }
        other => Status::unknown(other.to_string()),
    }
}
