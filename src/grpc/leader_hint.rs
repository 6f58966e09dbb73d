use std::collections::HashMap;

use prost::Message;

use super::retry_info::find_detail;

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(map = "string, string", tag = "3")]
    metadata: HashMap<String, String>,
}

pub(super) const ERROR_INFO: &str = "google.rpc.ErrorInfo";
const REASON: &str = "NOT_LEADER";
const DOMAIN: &str = "grpc-resilience";
const LEADER: &str = "leader";

#[cfg(feature = "server")]
impl ErrorInfo {
    pub(super) fn of_leader(leader: &str) -> Self {
        Self {
            reason: REASON.into(),
            domain: DOMAIN.into(),
            metadata: HashMap::from([(LEADER.into(), leader.into())]),
        }
    }
}

/// The leader's address, where a server that is not the leader names it in the details of its
/// status (CONTRACT E6).
#[must_use]
pub(crate) fn leader_hint(details: &[u8]) -> Option<String> {
    find_detail(details, ERROR_INFO, |value| {
        let mut info = ErrorInfo::decode(value).ok()?;
        let is_ours = info.reason == REASON && info.domain == DOMAIN;
        info.metadata.remove(LEADER).filter(|_| is_ours)
    })
}
