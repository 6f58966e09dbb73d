//! The calls that are made, and their clients.

use std::sync::Arc;
use std::time::Duration;

use foreign::load::CallId;
use foreign::oracle::Oracle;
use foreign::over::{Over, Sends, Wrapped, tonics};
use foreign::{Failure, hand_loop};
use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::{CallOptionsExt as _, Resilience};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::proto::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::proto::kv_client::KvClient;
use crate::proto::request_op;
use crate::proto::{Compare, DESCRIPTORS, PutRequest, RangeRequest, RequestOp, TxnRequest};

pub(crate) const DEADLINE: Duration = Duration::from_secs(5);
pub(crate) const ATTEMPT: Duration = Duration::from_millis(1_500);
/// How many keys the idempotent calls share.
const KEYS: u64 = 1_000;
const COUNTED: &str = "counted/";

pub(crate) type Ours = KvClient<Wrapped>;
pub(crate) type Bare = KvClient<Channel>;

/// This crate over a channel to these members, with no setting that tells it of several endpoints.
pub(crate) fn ours(over: Over, members: &[String], sends: &Arc<Sends>) -> Result<Ours, Failure> {
    let wrapped = over.wrap(&described(ATTEMPT)?, members, sends)?;
    Ok(KvClient::new(wrapped))
}

/// This crate over a channel to one member, with this timeout of attempts.
pub(crate) fn ours_to(over: Over, member: &str, attempt: Duration) -> Result<Ours, Failure> {
    let stack = described(attempt)?;
    let wrapped = over.wrap(&stack, &[member.to_owned()], &Arc::default())?;
    Ok(KvClient::new(wrapped))
}

/// This crate with the kinds of etcd's methods.
pub(crate) fn described(attempt: Duration) -> Result<Resilience, Failure> {
    Ok(undescribed(attempt)?.descriptors(DESCRIPTORS)?)
}

/// This crate without them.
pub(crate) fn undescribed(attempt: Duration) -> Result<Resilience, Failure> {
    let attempts = AttemptTimeoutLayer::new(attempt)?;
    Ok(Resilience::new()
        .default_timeout(DEADLINE)
        .attempt_timeout(attempts))
}

/// tonic's balanced channel for the loop written by hand.
pub(crate) fn bare(members: &[String]) -> Result<Bare, Failure> {
    Ok(KvClient::new(tonics(members)?))
}

/// A call that may be repeated: a range, a put or a conditional transaction, in turns.
pub(crate) async fn declared(mut client: Ours, id: CallId) -> Result<(), Status> {
    match id.0 % 3 {
        0 => client.range(range(id)).await.map(drop),
        1 => client.put(idempotent(put(id))).await.map(drop),
        _ => client.txn(idempotent(create(id))).await.map(drop),
    }
}

/// The same calls by the loop.
pub(crate) async fn declared_by_hand(client: Bare, id: CallId) -> Result<(), Status> {
    by_hand(|| {
        let mut client = client.clone();
        async move {
            match id.0 % 3 {
                0 => client.range(range(id)).await.map(drop),
                1 => client.put(put(id)).await.map(drop),
                _ => client.txn(create(id)).await.map(drop),
            }
        }
    })
    .await
}

/// The loop written by hand, with the timeout of our attempts, after which it makes another.
async fn by_hand<F>(attempt: impl Fn() -> F) -> Result<(), Status>
where
    F: Future<Output = Result<(), Status>>,
{
    hand_loop::call(|| {
        let attempt = timeout(ATTEMPT, attempt());
        async {
            attempt
                .await
                .unwrap_or(Err(Status::unavailable("the attempt timed out")))
        }
    })
    .await
}

/// An undeclared call: puts to a key of its own, without a condition. The key's version counts how
/// often it was applied.
pub(crate) async fn increment(mut client: Ours, id: CallId) -> Result<(), Status> {
    client.txn(count(id)).await.map(drop)
}

/// An increment by a loop that repeats lost connections, too, which tonic shows as UNKNOWN.
pub(crate) async fn increment_by_hand(client: Bare, id: CallId) -> Result<(), Status> {
    by_hand(|| {
        let mut client = client.clone();
        async move {
            match client.txn(count(id)).await {
                Err(lost) if lost.code() == Code::Unknown => {
                    Err(Status::unavailable(lost.message()))
                }
                ended => ended.map(drop),
            }
        }
    })
    .await
}

/// How often each increment was applied.
pub(crate) async fn applied(client: Bare) -> Result<Oracle, Failure> {
    let mut client = client.max_decoding_message_size(usize::MAX);
    let request = RangeRequest {
        key: COUNTED.into(),
        // The first key behind all that begin so.
        range_end: b"counted0".to_vec(),
        ..RangeRequest::default()
    };
    let answer = client.range(request).await?.into_inner();
    let mut begun = Vec::new();
    for counted in answer.kvs {
        let key = String::from_utf8(counted.key)?;
        let id = key
            .strip_prefix(COUNTED)
            .ok_or("a key without its prefix")?;
        let id = CallId(id.parse()?);
        begun.extend((0..counted.version).map(|_| id));
    }
    Ok(begun.into_iter().collect())
}

pub(crate) fn idempotent<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.call_options().idempotent();
    request
}

fn key(of: &str, id: CallId) -> Vec<u8> {
    format!("{of}/{}", id.0 % KEYS).into()
}

fn range(id: CallId) -> RangeRequest {
    RangeRequest {
        key: key("put", id),
        ..RangeRequest::default()
    }
}

/// Always the same value to one key.
fn put(id: CallId) -> PutRequest {
    PutRequest {
        key: key("put", id),
        value: vec![7; 100],
    }
}

fn create(id: CallId) -> TxnRequest {
    create_key(key("created", id))
}

/// Puts to a key that does not exist; repeated, it does nothing.
pub(crate) fn create_key(key: Vec<u8>) -> TxnRequest {
    TxnRequest {
        compare: vec![Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Version.into(),
            key: key.clone(),
            target_union: Some(TargetUnion::Version(0)),
        }],
        success: vec![put_op(PutRequest {
            key,
            value: b"1".to_vec(),
        })],
        failure: Vec::new(),
    }
}

/// Repeated, it counts once more.
fn count(id: CallId) -> TxnRequest {
    TxnRequest {
        success: vec![put_op(PutRequest {
            key: format!("{COUNTED}{id}").into(),
            value: b"1".to_vec(),
        })],
        ..TxnRequest::default()
    }
}

fn put_op(put: PutRequest) -> RequestOp {
    RequestOp {
        request: Some(request_op::Request::RequestPut(put)),
    }
}
