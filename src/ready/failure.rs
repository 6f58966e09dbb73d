//! The errors of calls that can't go.

use std::sync::Arc;

use crate::classify::Reason;
use crate::error::{Error, GiveUp};
use crate::grpc::Code;

use super::running_probe::LEASE;

pub(crate) fn not_ready(last: Option<Arc<Error>>) -> Error {
    local(
        Code::Unavailable,
        Reason::NotReady,
        GiveUp::NotReady,
        "the channel is not ready",
        last,
    )
}

/// The dial takes longer than gRPC allows for one (CONTRACT W5, R19).
pub(crate) fn overdue() -> Error {
    let (code, reason) = (Code::Unavailable, Reason::NotReady);
    let message = format!("no connection was ready within {LEASE:?}; the dial goes on");
    Error::local(code, reason, message)
}

/// No call dials the channel, so nothing can show it ready (CONTRACT V4).
pub(crate) fn not_dialled(last: Option<Arc<Error>>) -> Error {
    local(
        Code::Unavailable,
        Reason::NotReady,
        GiveUp::NotDialled,
        "the channel is not ready",
        last,
    )
}

/// CONTRACT W7.
pub(crate) fn queue_full(last: Option<Arc<Error>>) -> Error {
    let said = "too many calls wait for the channel";
    local(
        Code::ResourceExhausted,
        Reason::QueueFull,
        GiveUp::QueueFull,
        said,
        last,
    )
}

pub(crate) fn shut_down(last: Option<Arc<Error>>) -> Error {
    let said = "the channel is shut down and takes no more calls";
    local(
        Code::Unavailable,
        Reason::ChannelClosed,
        GiveUp::NotReady,
        said,
        last,
    )
}

pub(crate) fn spent() -> Error {
    let said = "the request was already sent and is not kept, so it can't be sent again";
    local(
        Code::Unavailable,
        Reason::NotReady,
        GiveUp::NotReady,
        said,
        None,
    )
}

fn local(
    code: Code,
    reason: Reason,
    give_up: GiveUp,
    said: &str,
    last: Option<Arc<Error>>,
) -> Error {
    let message = match &last {
        Some(last) => format!("{said}: {}", last.status().message()),
        None => said.to_owned(),
    };
    let cause = last.map(|last| last as _);
    Error::local(code, reason, message)
        .caused_by(cause)
        .given_up(give_up, 0)
}
