//! What the transport tells the client of a sending, by FIELD 4.

use std::error::Error;

use grpc_resilience::classify::{Progress, Reason, TransportError};
use http::HeaderMap;

/// What the client was told of a sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing yet, or the call was over before.
    Nothing,
    /// A head.
    Answer,
    /// A Trailers-Only failure that vouches for this path: the request had no effect.
    Vouched,
    /// No connection could be made.
    Unconnected,
    /// It never left.
    Unsent,
    /// `REFUSED_STREAM`.
    Refused,
    /// A GOAWAY, and whether the transport had begun to read the request's body.
    GoAway { read: bool },
    /// Reset for another reason.
    Reset,
    /// tonic ended it by `grpc-timeout`.
    Expired,
    /// The connection was lost, and who knows.
    Lost,
    /// None of these.
    Odd,
}

impl Told {
    /// By an answer to a request for this path.
    pub(super) fn by_answer(path: &str, answer: &HeaderMap) -> Self {
        let has_failed = answer.get("grpc-status").is_some_and(|it| it != "0");
        match answer.get("grpc-resilience-unprocessed") {
            Some(word) if word == path && has_failed => Self::Vouched,
            _ => Self::Answer,
        }
    }

    pub(super) fn by(error: &(dyn Error + 'static), read: bool) -> Self {
        let links = || std::iter::successors(Some(error), |error| (*error).source());
        let hyper = links().find_map(<dyn Error>::downcast_ref::<hyper::Error>);
        let h2 = links().find_map(<dyn Error>::downcast_ref::<h2::Error>);
        if let Some(ours) = TransportError::find(error) {
            return Self::by_ours(ours);
        }
        if links().any(<dyn Error>::is::<tonic::ConnectError>) {
            return Self::Unconnected;
        }
        if links().any(<dyn Error>::is::<tonic::TimeoutExpired>) {
            return Self::Expired;
        }
        match (hyper, h2) {
            (Some(hyper), _) if hyper.is_canceled() => Self::Unsent,
            (_, Some(h2)) if h2.is_remote() && h2.is_go_away() => Self::GoAway { read },
            (_, Some(h2)) if h2.is_remote() && h2.is_reset() => match h2.reason() {
                Some(h2::Reason::REFUSED_STREAM) => Self::Refused,
                _ => Self::Reset,
            },
            (_, Some(h2)) if h2.is_io() || h2.is_go_away() => Self::Lost,
            // "dispatch task is gone"
            (Some(hyper), None) if hyper.is_user() => Self::Lost,
            _ if links().any(<dyn Error>::is::<std::io::Error>) => Self::Lost,
            _ => {
                let links: Vec<_> = links().map(ToString::to_string).collect();
                println!("none of those that FIELD 4 lists: {}", links.join(": "));
                Self::Odd
            }
        }
    }

    /// This crate's channel says itself how far the request got (CONTRACT C16).
    fn by_ours(error: &TransportError) -> Self {
        let verdict = error.verdict();
        match (verdict.progress, verdict.reason) {
            (Progress::NotSent, Reason::ConnectFailed) => Self::Unconnected,
            (Progress::NotSent, _) => Self::Unsent,
            (Progress::Refused, Reason::StreamRefused) => Self::Refused,
            // It saw the GOAWAY itself, so whether the body was read does not matter.
            (Progress::Refused, _) => Self::GoAway { read: true },
            (_, Reason::StreamReset) => Self::Reset,
            (_, Reason::TransportTimedOut) => Self::Expired,
            (_, Reason::ConnectionLost | Reason::KeepaliveTimeout) => Self::Lost,
            _ => {
                println!("not a word of this crate's channel: {error:?}");
                Self::Odd
            }
        }
    }

    /// Whether it proves that the call did not begin. hyper polls the body only after the last
    /// place in which it takes a GOAWAY for one of this stream whatever the last id is; and without
    /// its message, a call that has one begins nowhere (CONTRACT I4b).
    pub(super) fn is_proof(self, is_known_to_have_one_message: bool, is_trusted: bool) -> bool {
        match self {
            Self::Unconnected | Self::Unsent | Self::Refused => true,
            Self::Vouched => is_trusted,
            Self::GoAway { read } => read || is_known_to_have_one_message,
            Self::Nothing | Self::Answer | Self::Reset | Self::Expired | Self::Lost | Self::Odd => {
                false
            }
        }
    }
}
