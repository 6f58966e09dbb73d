//! What may have run, by what the peer said and by what the transport told the client; nothing
//! here asks the crate.

use std::collections::HashMap;
use std::error::Error;

use peer::{Peer, SeenStream};

use super::calls::{Ended, mark};

/// What the client was told of a sending, by FIELD 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing yet.
    Nothing,
    /// A head.
    Answer,
    /// It never left.
    Unsent,
    /// Refused, or above a GOAWAY.
    Disowned,
    /// Reset for another reason.
    Reset,
    /// The connection was lost, and who knows.
    Lost,
    /// None of these.
    Odd,
}

impl Told {
    pub(super) fn by(error: &(dyn Error + 'static)) -> Self {
        let links = || std::iter::successors(Some(error), |error| (*error).source());
        let hyper = links().find_map(<dyn Error>::downcast_ref::<hyper::Error>);
        let h2 = links().find_map(<dyn Error>::downcast_ref::<h2::Error>);
        let is_refusal = |error: &h2::Error| {
            error.is_go_away()
                || error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
        };
        if links().any(<dyn Error>::is::<tonic::ConnectError>) {
            return Self::Unsent;
        }
        match (hyper, h2) {
            (Some(hyper), _) if hyper.is_canceled() => Self::Unsent,
            (_, Some(h2)) if h2.is_remote() && is_refusal(h2) => Self::Disowned,
            (_, Some(h2)) if h2.is_remote() && h2.is_reset() => Self::Reset,
            (_, Some(h2)) if h2.is_io() || h2.is_go_away() => Self::Lost,
            // "dispatch task is gone"
            (Some(hyper), None) if hyper.is_user() => Self::Lost,
            _ if links().any(<dyn Error>::is::<std::io::Error>) => Self::Lost,
            _ => Self::Odd,
        }
    }

    fn is_proof(self) -> bool {
        matches!(self, Self::Unsent | Self::Disowned)
    }
}

/// How it went, to see that the weather was bad enough.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) succeeded: usize,
    pub(super) repeated: usize,
    /// Sent again and successful, though undeclared.
    pub(super) saved: usize,
    /// The peer has seen the last sending.
    pub(super) failed_seen: usize,
    /// It has not, and no type proves that: a slot never came, or the connection was lost on the
    /// way.
    pub(super) failed_unseen: usize,
}

pub(super) struct Judge<'a> {
    peer: &'a Peer,
    calls: &'a [Ended],
    /// By call and sending.
    seen: HashMap<(u32, usize), SeenStream>,
    /// Streams of which too little has arrived to say which they were.
    nameless: usize,
}

impl<'a> Judge<'a> {
    pub(super) fn new(peer: &'a Peer, calls: &'a [Ended]) -> Self {
        let mut seen = HashMap::new();
        let mut nameless = 0;
        for stream in peer.streams_seen() {
            match mark(&stream) {
                Some(mark) => assert!(seen.insert(mark, stream).is_none(), "sent once: {mark:?}"),
                None => nameless += 1,
            }
        }
        Self {
            peer,
            calls,
            seen,
            nameless,
        }
    }

    /// By the peer's word alone: a stream of which it did not say, first of all, that it was not
    /// processed may have run; complete or not, to be strict.
    pub(super) fn ran_at_most_once(&self, call: &Ended) {
        let streams = (0..call.sent.len()).filter_map(|sent| self.seen.get(&(call.call, sent)));
        let may_have_run: Vec<_> = streams.filter(|it| !self.peer.disowned(it)).collect();
        assert!(may_have_run.len() <= 1, "{call:?} {may_have_run:?}");
    }

    /// The last sending of a failed call is neither one that the peer disowned nor one that never
    /// left, and nothing was sent after one that may have run.
    pub(super) fn failed_only_if_it_may_have_run(&self, call: &Ended) {
        let (last, others) = call.sent.split_last().unwrap();
        assert!(others.iter().all(|told| told.is_proof()), "{call:?}");
        if call.succeeded {
            assert_eq!(*last, Told::Answer, "{call:?}");
            return;
        }
        assert!(!last.is_proof(), "{call:?}");
        match self.seen.get(&(call.call, others.len())) {
            Some(stream) => {
                // What was said just before a reset of the TCP connection may be lost with it.
                let was_told = !self.peer.aborted(stream.connection);
                let disowned = self.peer.disowned(stream) && was_told;
                assert!(!disowned, "{call:?} {stream:?}");
            }
            // FIELD 4 "waiting for a stream slot as the connection dies", or lost on the way; a
            // reset can only speak of a stream that has no name yet.
            None => assert!(
                *last == Told::Lost || *last == Told::Reset && self.nameless > 0,
                "{call:?}"
            ),
        }
    }

    /// What the transport told the client is true.
    pub(super) fn is_consistent(&self) {
        for call in self.calls {
            for (number, told) in call.sent.iter().enumerate() {
                let stream = self.seen.get(&(call.call, number));
                let is_true = match told {
                    Told::Unsent => stream.is_none(),
                    Told::Disowned => stream.is_none_or(|stream| self.peer.disowned(stream)),
                    Told::Answer => stream.is_some_and(|stream| !self.peer.disowned(stream)),
                    Told::Reset | Told::Lost => true,
                    Told::Nothing | Told::Odd => false,
                };
                assert!(is_true, "{number} of {call:?}: {stream:?}");
            }
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for call in self.calls {
            let last = call.sent.len() - 1;
            counts.succeeded += usize::from(call.succeeded);
            counts.repeated += usize::from(last > 0);
            counts.saved += usize::from(last > 0 && call.succeeded);
            let was_seen = self.seen.contains_key(&(call.call, last));
            counts.failed_seen += usize::from(!call.succeeded && was_seen);
            counts.failed_unseen += usize::from(!call.succeeded && !was_seen);
        }
        counts
    }
}
