//! What may have begun, by what the peer said and by what the transport told the client; nothing
//! here asks the crate.

use std::collections::{HashMap, HashSet};

use peer::{Peer, SeenStream};

use super::call::{Declared, End};
use super::client::{Ended, Outcome};
use super::recorder::SENDING;
use super::setup::{Calls, Setup, TOKEN};
use super::transport_word::Told;
use super::{call, counts::Counts};

pub(super) struct Judge<'a> {
    setup: &'a Setup,
    peer: &'a Peer,
    calls: &'a [Ended],
    /// By call and sending.
    seen: HashMap<(u32, usize), SeenStream>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(setup: &'a Setup, peer: &'a Peer, calls: &'a [Ended]) -> Self {
        let mut seen = HashMap::new();
        for stream in peer.streams_seen() {
            let number = |name| stream.field(name).unwrap().parse::<u32>().unwrap();
            let mark = (number(call::CALL), number(SENDING) as usize);
            assert!(seen.insert(mark, stream).is_none(), "sent once: {mark:?}");
        }
        Self {
            setup,
            peer,
            calls,
            seen,
        }
    }

    pub(super) fn all_is_well(&self) -> Counts {
        for call in self.calls {
            if call.call.declared == Declared::No {
                self.began_at_most_once(call);
                self.failed_only_if_it_may_have_begun(call);
            }
            if self.setup.calls == Calls::Declared {
                let seen: Vec<_> = self
                    .streams(call)
                    .map(|(_, stream)| brief(stream))
                    .collect();
                assert_eq!(call.failure, None, "{call:?} {seen:?}");
            }
            self.is_told_the_truth(call);
            self.ended_in_time(call);
            for (sending, stream) in self.streams(call) {
                assert_is_whole(call, sending, stream);
                self.assert_has_its_fields(call, stream);
            }
        }
        self.keys_are_of_one_call_each();
        Counts::of(self.calls, |call, sending| {
            self.seen.contains_key(&(call, sending))
        })
    }

    fn streams(&self, call: &Ended) -> impl Iterator<Item = (usize, &SeenStream)> {
        let number = call.call.number;
        let of_call = move |sending| Some((sending, self.seen.get(&(number, sending))?));
        (0..call.sent.len()).filter_map(of_call)
    }

    /// By the peer's word: a stream of which it did not say, first of all, that it was not
    /// processed may have begun, complete or not. And by the client's: it sends nothing after what
    /// may have.
    // CONTRACT I4
    fn began_at_most_once(&self, call: &Ended) {
        let may_have_begun: Vec<_> = self
            .streams(call)
            .filter(|(sending, stream)| {
                // Without its message, a call that has one has not begun.
                let is_headless = call.sent[*sending] == Told::GoAway { read: false }
                    && !call.call.kind.asks_in_a_stream()
                    && stream.body.is_empty();
                // A handler that vouches for that had no effect (CONTRACT I7).
                !self.peer.disowned(stream) && !self.peer.vouched(stream) && !is_headless
            })
            .map(|(sending, stream)| (sending, brief(stream)))
            .collect();
        assert!(
            may_have_begun.len() <= 1,
            "it began twice: {call:?} {may_have_begun:?}"
        );
        if let Some((_, before)) = call.sent.split_last() {
            let proven = before.iter().all(|told| self.is_proof(call, *told));
            assert!(proven, "{call:?}");
        }
    }

    fn is_proof(&self, call: &Ended, told: Told) -> bool {
        let has_one_message = self.setup.knows_kinds && !call.call.kind.asks_in_a_stream();
        told.is_proof(has_one_message, self.setup.believes())
    }

    /// The last sending of a failed call is neither one that the peer disowned nor one that never
    /// left, unless something else may end the call.
    fn failed_only_if_it_may_have_begun(&self, call: &Ended) {
        if call.outcome == Outcome::Succeeded {
            assert_eq!(call.sent.last(), Some(&Told::Answer), "{call:?}");
        }
        if call.outcome != Outcome::Failed || self.setup.may_end_early(call.call.end) {
            return;
        }
        let (last, before) = call.sent.split_last().unwrap();
        if !self.setup.stack.retries() {
            assert_ne!(*last, Told::Unconnected, "{call:?}");
            return;
        }
        assert!(!self.is_proof(call, *last), "{call:?}");
        match self.seen.get(&(call.call.number, before.len())) {
            Some(stream) => {
                // What was said just before a reset of the TCP connection may be lost with it, and
                // what hyper says of a GOAWAY is no proof before it reads the body. Where threads
                // race, hyper may report the end of the connection instead of the GOAWAY before it.
                let was_told = !self.peer.aborted(stream.connection)
                    && *last != Told::GoAway { read: false }
                    && (self.setup.pace.is_exact || *last != Told::Lost);
                let disowned = self.peer.disowned(stream) && was_told;
                assert!(!disowned, "{call:?} {}", brief(stream));
            }
            // FIELD 4 "waiting for a stream slot as the connection dies", or lost on the way.
            None => assert!(
                matches!(last, Told::Lost | Told::GoAway { read: false }),
                "{call:?}"
            ),
        }
    }

    /// What the transport told the client is true, but for the GOAWAY of which CONTRACT I4b speaks.
    fn is_told_the_truth(&self, call: &Ended) {
        for (sending, told) in call.sent.iter().enumerate() {
            let stream = self.seen.get(&(call.call.number, sending));
            let is_true = match told {
                Told::Unconnected | Told::Unsent => stream.is_none(),
                Told::Refused | Told::GoAway { read: true } => {
                    stream.is_none_or(|stream| self.peer.disowned(stream))
                }
                Told::Vouched => stream.is_some_and(|stream| self.peer.vouched(stream)),
                Told::Answer => stream.is_some_and(|stream| !self.peer.disowned(stream)),
                Told::Nothing | Told::Expired => self.setup.may_be_dropped(call.call.end),
                Told::Reset | Told::Lost | Told::GoAway { read: false } => true,
                Told::Odd => false,
            };
            assert!(is_true, "{sending} of {call:?}: {:?}", stream.map(brief));
        }
    }

    // CONTRACT D5
    fn ended_in_time(&self, call: &Ended) {
        if let End::Deadline(deadline) = call.call.end
            && self.setup.stack.has_deadline()
            && self.setup.pace.is_exact
        {
            // Timers know whole milliseconds.
            let latest = deadline + std::time::Duration::from_millis(2);
            assert!(call.took <= latest, "{call:?}");
        }
    }

    /// The hook's header is that of this attempt, and a keyed call has its key.
    fn assert_has_its_fields(&self, call: &Ended, stream: &SeenStream) {
        if self.setup.has_hook {
            let before = stream.field("grpc-previous-rpc-attempts").unwrap_or("0");
            let number = before.parse::<u32>().unwrap() + 1;
            let token = stream.field(TOKEN).map(|it| it.parse().unwrap());
            assert_eq!(token, Some(number), "{call:?} {}", brief(stream));
        }
        let is_keyed = stream.field("idempotency-key").is_some();
        let expected = call.call.declared == Declared::ByKey;
        assert_eq!(is_keyed, expected, "{call:?} {}", brief(stream));
    }

    /// All sendings of a call have one key, and no two calls share one.
    fn keys_are_of_one_call_each(&self) {
        let mut keys = HashSet::new();
        for call in self.calls {
            let of_call: HashSet<_> = self
                .streams(call)
                .filter_map(|(_, stream)| stream.field("idempotency-key"))
                .collect();
            assert!(of_call.len() <= 1, "{call:?} {of_call:?}");
            assert!(of_call.iter().all(|key| keys.insert(*key)), "{call:?}");
        }
    }
}

/// What arrived of a request is what the caller sent, in order; a complete one is all of it.
// CONTRACT B2
fn assert_is_whole(call: &Ended, sending: usize, stream: &SeenStream) {
    let body = call.call.body();
    let is_whole = if stream.complete {
        body == stream.body
    } else {
        body.starts_with(&stream.body)
    };
    assert!(is_whole, "{sending} of {call:?}: {}", brief(stream));
}

fn brief(stream: &SeenStream) -> String {
    let SeenStream {
        connection,
        id,
        complete,
        body,
        ..
    } = stream;
    let end = if *complete { ", complete" } else { "" };
    format!(
        "stream {id} of connection {connection}, {} bytes{end}",
        body.len()
    )
}
