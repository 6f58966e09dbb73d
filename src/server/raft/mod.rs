//! What a server that replicates by Raft answers when it can't serve a request.
//!
//! Whether a client may repeat a request depends on whether its entry may have been applied:
//!
//! | situation | answer | an undeclared call |
//! |---|---|---|
//! | this server is not the leader | [`not_leader`] | may go again: nothing was done |
//! | leadership was lost, or the server stops, after the entry was proposed | [`lost`] | ends: it may have been applied |
//!
//! Both are UNAVAILABLE, which clients retry if the call is declared idempotent.
//!
//! ```
//! use grpc_resilience::raft;
//! # enum RaftError { ForwardToLeader(Option<&'static str>), LeadershipLost }
//!
//! fn status(error: &RaftError) -> tonic::Status {
//!     match error {
//!         RaftError::ForwardToLeader(leader) => raft::not_leader(*leader),
//!         RaftError::LeadershipLost => raft::lost("leadership was lost before a majority had it"),
//!     }
//! }
//! # let _ = status(&RaftError::LeadershipLost);
//! # let _ = status(&RaftError::ForwardToLeader(None));
//! ```
//!
//! [`not_leader`]'s promise reaches the client as the trailer `grpc-resilience-unprocessed`, which
//! [`ServerDeadlineLayer`](crate::ServerDeadlineLayer) or
//! [`ServerRateLimitLayer`](crate::ServerRateLimitLayer) writes, because only a layer knows the
//! path of the request (CONTRACT I7). Without such a layer the status is an ordinary UNAVAILABLE.
//! Clients trust the trailer over this crate's own channel, and elsewhere with
//! [`trust_unprocessed`](crate::RetryLayer::trust_unprocessed).

use std::sync::Arc;

use crate::grpc::refusal::leader_details;
use crate::grpc::{Code, NoEffect};

/// This server is not the leader, and has not done anything for the request (CONTRACT E6).
///
/// `leader` is the leader's address as clients connect to it, such as `10.0.0.2:50051`, if it is
/// known. The status names it in its details, a `google.rpc.ErrorInfo` with the reason
/// `NOT_LEADER`, the domain `grpc-resilience` and the metadata `leader`. Over this crate's own
/// channel a retry of the call goes there first, if the channel has a ready endpoint of this very
/// name.
///
/// ```
/// use grpc_resilience::raft;
///
/// let status = raft::not_leader(Some("10.0.0.2:50051"));
/// assert_eq!(status.code(), tonic::Code::Unavailable);
/// assert_eq!(
///     status.message(),
///     "this server is not the leader; the leader is 10.0.0.2:50051"
/// );
/// ```
#[must_use]
pub fn not_leader(leader: Option<&str>) -> tonic::Status {
    let message = match leader {
        Some(leader) => format!("this server is not the leader; the leader is {leader}"),
        None => "this server is not the leader, and knows of none".into(),
    };
    let code = tonic::Code::Unavailable;
    let mut status = match leader {
        Some(leader) => {
            let details = leader_details(Code::Unavailable, &message, leader);
            tonic::Status::with_details(code, message, details)
        }
        None => tonic::Status::new(code, message),
    };
    status.set_source(Arc::new(NoEffect));
    status
}

/// The entry of the request was proposed, and it is not known whether it is or will be applied: the
/// leadership was lost, or the server stops (CONTRACT E6).
///
/// The status is UNAVAILABLE and promises nothing, so that a client repeats the call only if it is
/// declared idempotent. Use it for each failure of a proposal after which the entry may still be in
/// the log of any node: a Raft library that reports a lost leadership with the same error as a
/// request to a follower says `lost` by it, unless this server knew before the proposal that it was
/// not the leader.
///
/// ```
/// use grpc_resilience::raft;
///
/// let status = raft::lost("this server stops");
/// assert_eq!(status.code(), tonic::Code::Unavailable);
/// assert_eq!(status.message(), "the request may have been applied: this server stops");
/// ```
#[must_use]
pub fn lost(reason: impl Into<String>) -> tonic::Status {
    let reason = reason.into();
    tonic::Status::unavailable(format!("the request may have been applied: {reason}"))
}
