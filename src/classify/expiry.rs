use crate::grpc::Code;

use super::{Reason, Verdict};

/// Which evidence shows that a failure near the end of a time is that end (CONTRACT D11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Another clock on this side ended it, such as that of tonic's channel.
    OwnClock,
    /// The peer's code: CANCELLED or DEADLINE_EXCEEDED.
    Code,
    /// The peer's message states it, with any code.
    Words,
}

#[derive(Clone, Copy)]
enum Place {
    /// The text is the whole message.
    Whole,
    /// The message begins with the text.
    Start,
    /// The text is anywhere in the message: Go programs put their own context before it.
    Anywhere,
}

/// Messages of servers and proxies that end a call at its `grpc-timeout`.
///
/// Sources:
/// - etcd 3.4 hands Go's error of an ended context to grpc-go 1.26, which makes UNKNOWN of it
///   (`etcdserver/api/v3rpc/util.go`, `togRPCError`; grpc-go `server.go`, `processUnaryRPC`); any
///   Go handler that wraps this error answers so with every version of grpc-go.
/// - etcd 3.4 to 3.7 answers UNAVAILABLE where a proposal was under way
///   (`etcdserver/v3_server.go`, `parseProposeCtxErr`; `api/v3rpc/rpctypes/error.go`).
/// - Envoy's router (`source/common/router/router.cc`, `onUpstreamTimeoutAbort`,
///   `onStreamMaxDurationReached`) and connection manager
///   (`source/common/http/conn_manager_impl.cc`, `onIdleTimeout`, `onStreamMaxDurationReached`):
///   HTTP 504 or 408, so UNAVAILABLE or UNKNOWN; DEADLINE_EXCEEDED since envoy#44479.
/// - tonic answers CANCELLED (`src/status.rs`, `TimeoutExpired`).
const TEXTS: [(&str, Place); 7] = [
    ("context deadline exceeded", Place::Anywhere),
    ("etcdserver: request timed out", Place::Start),
    ("upstream request timeout", Place::Whole),
    ("upstream max stream duration reached", Place::Whole),
    ("downstream duration timeout", Place::Whole),
    ("stream timeout", Place::Whole),
    ("Timeout expired", Place::Whole),
];

/// Whether a failure with this code may mean that a time is over.
pub(crate) fn may_be_expiry(code: Code) -> bool {
    is_named_by_code(code) || matches!(code, Code::Unknown | Code::Unavailable)
}

impl Verdict {
    /// The evidence that a time is over, if the failure with this message can mean that.
    pub(crate) fn expiry(&self, message: &str) -> Option<Expiry> {
        // The parent call ended; no time-out.
        if !may_be_expiry(self.code) || self.reason == Reason::Dropped {
            return None;
        }
        if self.reason.is_time_out() || self.reason == Reason::DeadlineExceeded {
            return Some(Expiry::OwnClock);
        }
        if is_in_table(message) {
            return Some(Expiry::Words);
        }
        is_named_by_code(self.code).then_some(Expiry::Code)
    }
}

fn is_named_by_code(code: Code) -> bool {
    matches!(code, Code::Cancelled | Code::DeadlineExceeded)
}

fn is_in_table(message: &str) -> bool {
    TEXTS.iter().any(|(text, place)| match place {
        Place::Whole => message == *text,
        Place::Start => message.starts_with(text),
        Place::Anywhere => message.contains(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::Progress;

    fn said(code: Code, message: &str) -> Option<Expiry> {
        Verdict::new(Progress::Answered, code, Reason::Answered).expiry(message)
    }

    // CONTRACT D11
    #[test]
    fn each_text_of_the_table_says_that_a_time_is_over() {
        for message in [
            "context deadline exceeded",
            "put: rpc error: code = DeadlineExceeded desc = context deadline exceeded",
            "etcdserver: request timed out",
            "etcdserver: request timed out, possibly due to previous leader failure",
            "upstream request timeout",
            "upstream max stream duration reached",
            "downstream duration timeout",
            "stream timeout",
        ] {
            for code in [Code::Unknown, Code::Unavailable] {
                assert_eq!(said(code, message), Some(Expiry::Words), "{message}");
            }
        }
        assert_eq!(
            said(Code::Cancelled, "Timeout expired"),
            Some(Expiry::Words)
        );
    }

    // CONTRACT D11
    #[test]
    fn other_words_count_only_with_the_two_codes() {
        for message in [
            "",
            "busy",
            "upstream timeout",
            "the etcdserver: request timed out",
        ] {
            for code in [Code::Cancelled, Code::DeadlineExceeded] {
                assert_eq!(said(code, message), Some(Expiry::Code), "{message}");
            }
            for code in [Code::Unknown, Code::Unavailable] {
                assert_eq!(said(code, message), None, "{message}");
            }
        }
        for code in [Code::Aborted, Code::Internal, Code::ResourceExhausted] {
            assert_eq!(said(code, "context deadline exceeded"), None);
        }
    }

    #[test]
    fn the_end_of_the_call_that_this_one_is_made_for_is_no_time_out() {
        let dropped = Verdict::new(Progress::Reached, Code::Cancelled, Reason::Dropped);
        assert_eq!(dropped.expiry("Timeout expired"), None);
    }

    #[test]
    fn the_clocks_of_this_side_are_told_from_the_peer_s() {
        for reason in [
            Reason::AttemptTimedOut,
            Reason::TransportTimedOut,
            Reason::DeadlineExceeded,
        ] {
            let verdict = Verdict::new(Progress::Reached, Code::DeadlineExceeded, reason);
            assert_eq!(verdict.expiry(""), Some(Expiry::OwnClock));
        }
    }
}
