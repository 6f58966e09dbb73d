use crate::body::Reader;
use crate::grpc::MethodKind;

use super::{Progress, Reason, Verdict};

/// Why an error that normally proves a request unprocessed does not prove it for this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// A layer had read the request, so the error may belong to another call (CONTRACT I4c).
    WasRead,
    /// A GOAWAY came before the request was read, and the kind of the method is unknown: the
    /// handler of a client stream may have begun (I4b).
    UnknownKind,
    /// A GOAWAY came before the stream of requests was read; its handler may have begun (I4b).
    RequestStream,
}

impl Doubt {
    /// How the caller can avoid the doubt.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::WasRead => {
                "the request may have been sent, because something had read it before this failure"
            }
            Self::UnknownKind => {
                "the request may have begun, because the kind of its method is unknown: give the \
                 layers descriptors, or declare a unary method with `.unary(path)`"
            }
            Self::RequestStream => {
                "the request may have begun, because a handler of a request stream begins before \
                 its first message"
            }
        }
    }
}

impl Verdict {
    /// Checks the transport's evidence against the request: its first reader and the kind of its
    /// method.
    ///
    /// When HEADERS may have been sent, hyper reports a GOAWAY in one place only: before it polls
    /// the request's body. Without a message no unary handler runs, but the handler of a client
    /// stream does. Once hyper has polled the body, it reports a GOAWAY error for refused streams
    /// only.
    pub(crate) fn doubt(&self, reader: Reader, kind: Option<MethodKind>) -> Option<Doubt> {
        let is_goaway = matches!(self.reason, Reason::GoAway | Reason::GoAwayError);
        match self.progress {
            Progress::NotSent if reader != Reader::None => Some(Doubt::WasRead),
            // The transport may not have read a body that a layer had collected when the GOAWAY
            // came.
            Progress::Refused if is_goaway && reader != Reader::Transport => match kind {
                None => Some(Doubt::UnknownKind),
                Some(kind) if kind.asks_in_a_stream() => Some(Doubt::RequestStream),
                Some(_) => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::Code;

    fn doubt(
        progress: Progress,
        reason: Reason,
        reader: Reader,
        kind: Option<MethodKind>,
    ) -> Option<Doubt> {
        Verdict::new(progress, Code::Unavailable, reason).doubt(reader, kind)
    }

    // CONTRACT I4c
    #[test]
    fn a_connect_error_proves_nothing_of_a_request_that_was_read() {
        for reason in [Reason::ConnectFailed, Reason::Queued, Reason::ChannelClosed] {
            let doubt = |reader| doubt(Progress::NotSent, reason, reader, None);
            assert_eq!(doubt(Reader::Layer), Some(Doubt::WasRead), "{reason}");
            assert_eq!(doubt(Reader::Transport), Some(Doubt::WasRead), "{reason}");
            assert_eq!(doubt(Reader::None), None, "{reason}");
        }
    }

    // CONTRACT I4b
    #[test]
    fn a_goaway_refuses_what_the_transport_read_and_what_needs_a_message_to_begin() {
        use MethodKind::{BidiStreaming, ClientStreaming, ServerStreaming, Unary};
        for reason in [Reason::GoAway, Reason::GoAwayError] {
            let doubt = |reader, kind| doubt(Progress::Refused, reason, reader, kind);
            for kind in [None, Some(ClientStreaming), Some(BidiStreaming)] {
                assert_eq!(doubt(Reader::Transport, kind), None, "{kind:?}");
            }
            for reader in [Reader::None, Reader::Layer] {
                for kind in [Unary, ServerStreaming] {
                    assert_eq!(doubt(reader, Some(kind)), None, "{kind:?}");
                }
                for kind in [ClientStreaming, BidiStreaming] {
                    assert_eq!(doubt(reader, Some(kind)), Some(Doubt::RequestStream));
                }
                assert_eq!(doubt(reader, None), Some(Doubt::UnknownKind));
            }
        }
    }

    // CONTRACT I4b
    #[test]
    fn a_refused_stream_was_refused_whether_it_was_read_or_not() {
        for reader in [Reader::None, Reader::Layer, Reader::Transport] {
            let reason = Reason::StreamRefused;
            assert_eq!(doubt(Progress::Refused, reason, reader, None), None);
        }
    }

    #[test]
    fn what_may_have_run_is_not_doubted() {
        for progress in [Progress::Reached, Progress::Answered] {
            assert_eq!(doubt(progress, Reason::GoAway, Reader::None, None), None);
        }
    }
}
