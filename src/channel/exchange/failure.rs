use std::sync::Arc;

use h2::Reason as H2Reason;

use crate::channel::connection::{Connection, Facts};
use crate::channel::errors;
use crate::classify::{Progress, Reason, TransportError, Verdict, code_of};
use crate::grpc::Code;

/// What became of stream `id`, whose response did not begin (CONTRACT C16).
///
/// The frames that passed decide, not h2's error alone: a GOAWAY names the streams that it
/// processed, and a stream whose HEADERS the transport never took was not sent.
pub(super) fn judge(id: u32, error: &h2::Error, facts: &Facts) -> Verdict {
    if error.is_reset() {
        let reason = error.reason().unwrap_or(H2Reason::INTERNAL_ERROR);
        if error.is_remote() && reason == H2Reason::REFUSED_STREAM {
            return refused(Reason::StreamRefused);
        }
        return Verdict::new(Progress::Reached, code_of(reason), Reason::StreamReset);
    }
    if let Some(go_away) = facts.go_away().filter(|go_away| id > go_away.last) {
        return refused(match H2Reason::from(go_away.code) {
            H2Reason::NO_ERROR => Reason::GoAway,
            _ => Reason::GoAwayError,
        });
    }
    // Only after the read side has ended does nothing leave any more.
    if error.is_io() && id > facts.opened() {
        return Verdict::new(Progress::NotSent, Code::Unavailable, Reason::Queued);
    }
    let reason = if facts.is_silent() {
        Reason::KeepaliveTimeout
    } else {
        Reason::ConnectionLost
    };
    Verdict::new(Progress::Reached, Code::Unavailable, reason)
}

fn refused(reason: Reason) -> Verdict {
    Verdict::new(Progress::Refused, Code::Unavailable, reason)
}

/// The error of a call whose response did not begin.
#[cold]
pub(super) fn failure(id: u32, error: h2::Error, connection: &Connection) -> TransportError {
    let verdict = judge(id, &error, &connection.facts);
    if verdict.reason == Reason::StreamRefused {
        connection.refused(id);
    }
    if error.is_reset() {
        // h2 resets a stream on which the peer broke HTTP/2. The end of a connection is told by its
        // task.
        connection.complain(&error);
    }
    let endpoint = Arc::clone(&connection.endpoint);
    let text = connection.facts.text();
    let message = match verdict.reason {
        Reason::StreamRefused => format!("{endpoint} refused the stream"),
        Reason::GoAway | Reason::GoAwayError if text.is_empty() => {
            format!("{endpoint} went away and did not process the request")
        }
        Reason::GoAway | Reason::GoAwayError => {
            format!("{endpoint} went away ({text:?}) and did not process the request")
        }
        Reason::Queued => {
            format!("the connection to {endpoint} was lost before the request was sent")
        }
        Reason::KeepaliveTimeout => format!("{endpoint} did not answer a keepalive PING"),
        Reason::StreamReset => format!("{endpoint} ended the stream"),
        Reason::ConnectionLost if connection.facts.is_cut() => {
            format!("{endpoint} was removed, and the call did not end within the drain timeout")
        }
        _ => format!("the connection to {endpoint} was lost"),
    };
    errors::failed(verdict, Some(endpoint), message, Some(Arc::new(error)))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn lost() -> h2::Error {
        // The only public way to an h2 error of a transport.
        let waker = std::task::Waker::noop();
        let mut cx = std::task::Context::from_waker(waker);
        let io = tokio_test_io();
        let mut handshake = std::pin::pin!(h2::client::handshake(io));
        match handshake.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(Err(error)) => error,
            _ => panic!("the write fails"),
        }
    }

    /// A transport whose writes fail.
    fn tokio_test_io() -> tokio::io::DuplexStream {
        let (ours, theirs) = tokio::io::duplex(1);
        drop(theirs);
        ours
    }

    fn facts() -> Facts {
        Facts::new(Instant::now())
    }

    // CONTRACT C16
    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_proves_that_streams_beyond_the_last_head_were_not_sent() {
        let (facts, error) = (facts(), lost());
        assert!(error.is_io());
        facts.add_opened(5);
        let verdict = |id| judge(id, &error, &facts);
        assert_eq!(verdict(5).progress, Progress::Reached);
        assert_eq!(verdict(5).reason, Reason::ConnectionLost);
        assert_eq!(verdict(7).progress, Progress::NotSent);
        assert_eq!(verdict(7).reason, Reason::Queued);
        facts.set_silent();
        assert_eq!(verdict(5).reason, Reason::KeepaliveTimeout);
        assert_eq!(verdict(7).progress, Progress::NotSent);
    }

    // CONTRACT I4a
    #[tokio::test(start_paused = true)]
    async fn a_go_away_proves_that_streams_above_its_last_were_not_processed() {
        for (code, reason) in [(0, Reason::GoAway), (11, Reason::GoAwayError)] {
            let (facts, error) = (facts(), lost());
            facts.add_opened(9);
            facts.add_go_away(&[0, 0, 0, 5, 0, 0, 0, code]);
            let verdict = |id| judge(id, &error, &facts);
            assert_eq!(verdict(5).progress, Progress::Reached);
            assert_eq!(verdict(7).progress, Progress::Refused);
            assert_eq!(verdict(7).reason, reason);
            assert_eq!(verdict(11).progress, Progress::Refused);
        }
    }

    // CONTRACT C16
    #[tokio::test(start_paused = true)]
    async fn an_error_that_is_not_the_transport_s_proves_nothing() {
        let error = h2::Error::from(H2Reason::INTERNAL_ERROR);
        assert_eq!(judge(7, &error, &facts()).progress, Progress::Reached);
    }
}
