//! What the peer has seen; scripts and tests wait for entries in it.

use std::collections::HashMap;

use tokio::sync::watch;

use crate::Reason;

/// A stream whose HEADERS have arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenStream {
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    /// Its id.
    pub id: u32,
    /// The fields of the request's head, in their order.
    pub head: Vec<(String, String)>,
    /// The client has ended its side.
    pub complete: bool,
    /// The request body as far as it has arrived, with the gRPC prefix.
    pub body: Vec<u8>,
}

impl SeenStream {
    /// The first field of this name in the request's head.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.iter();
        let field = fields.find(|(field, _)| field == name)?;
        Some(&field.1)
    }
}

/// An `RST_STREAM` from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenReset {
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    /// The stream that was reset.
    pub stream: u32,
    /// Why.
    pub reason: Reason,
}

/// What the peer has said first of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// That it was not processed: `REFUSED_STREAM`, or a GOAWAY below it.
    Disowned,
    /// By the trailer for that, that it had no effect.
    Vouched,
    /// Anything else: a header block, DATA, another reset.
    Spoken,
}

#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) connections: Vec<SeenConnection>,
    pub(crate) streams: Vec<SeenStream>,
    pub(crate) resets: Vec<SeenReset>,
    /// By connection and stream.
    pub(crate) words: HashMap<(usize, u32), Word>,
    /// The connections that the peer has reset.
    pub(crate) aborted: Vec<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct SeenConnection {
    pub(crate) preface: bool,
    pub(crate) settings_acknowledged: bool,
    /// The number of the newest PING of ours that was answered.
    pub(crate) pong: u64,
    /// PINGs of the client.
    pub(crate) pings: usize,
    pub(crate) closed: bool,
    /// The last stream of the lowest GOAWAY.
    pub(crate) last: Option<u32>,
}

impl Entries {
    pub(crate) fn connection(&self, connection: usize) -> Option<&SeenConnection> {
        self.connections.get(connection)
    }

    pub(crate) fn streams_of(
        &self,
        connection: usize,
    ) -> impl DoubleEndedIterator<Item = &SeenStream> {
        self.streams
            .iter()
            .filter(move |stream| stream.connection == connection)
    }

    pub(crate) fn is_complete(&self, connection: usize, id: u32) -> bool {
        self.streams_of(connection)
            .rev()
            .any(|stream| stream.id == id && stream.complete)
    }

    /// Whether so many bytes of the body have arrived, or all there will be.
    pub(crate) fn has_bytes(&self, connection: usize, id: u32, bytes: usize) -> bool {
        self.streams_of(connection)
            .rev()
            .any(|stream| stream.id == id && (stream.complete || stream.body.len() >= bytes))
    }

    pub(crate) fn is_reset(&self, connection: usize, id: u32) -> bool {
        self.resets
            .iter()
            .any(|reset| reset.connection == connection && reset.stream == id)
    }

    /// Notes what was said of a stream, unless something was before.
    fn said(&mut self, connection: usize, id: u32, word: Word) {
        self.words.entry((connection, id)).or_insert(word);
    }

    fn stream_mut(&mut self, connection: usize, id: u32) -> Option<&mut SeenStream> {
        self.streams
            .iter_mut()
            .rev()
            .find(|stream| stream.connection == connection && stream.id == id)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Journal(watch::Sender<Entries>);

impl Journal {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Entries::default()))
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Entries) -> T) -> T {
        look(&self.0.borrow())
    }

    pub(crate) async fn until(&self, condition: impl FnMut(&Entries) -> bool) {
        // The sender lives in `self`, so this cannot end before the condition holds.
        let _ = self.0.subscribe().wait_for(condition).await;
    }

    /// Opens the page of a new connection and tells its number.
    pub(crate) fn connected(&self) -> usize {
        let mut number = 0;
        self.0.send_modify(|entries| {
            number = entries.connections.len();
            entries.connections.push(SeenConnection::default());
        });
        number
    }

    pub(crate) fn on(&self, connection: usize, note: impl FnOnce(&mut SeenConnection)) {
        self.0.send_modify(|entries| {
            if let Some(seen) = entries.connections.get_mut(connection) {
                note(seen);
            }
        });
    }

    /// Notes HEADERS; tells whether they open a stream (others are the request's trailers).
    pub(crate) fn headers(
        &self,
        connection: usize,
        id: u32,
        head: Vec<(String, String)>,
        complete: bool,
    ) -> bool {
        let mut opened = false;
        self.0.send_modify(|entries| {
            if let Some(stream) = entries.stream_mut(connection, id) {
                stream.complete |= complete;
                return;
            }
            opened = true;
            entries.streams.push(SeenStream {
                connection,
                id,
                head,
                complete,
                body: Vec::new(),
            });
            let last = entries.connection(connection).and_then(|seen| seen.last);
            if last.is_some_and(|last| id > last) {
                entries.said(connection, id, Word::Disowned);
            }
        });
        opened
    }

    pub(crate) fn data(&self, connection: usize, id: u32, data: &[u8], complete: bool) {
        self.0.send_modify(|entries| {
            if let Some(stream) = entries.stream_mut(connection, id) {
                stream.body.extend_from_slice(data);
                stream.complete |= complete;
            }
        });
    }

    pub(crate) fn said(&self, connection: usize, id: u32, word: Word) {
        self.0
            .send_modify(|entries| entries.said(connection, id, word));
    }

    /// Notes a GOAWAY: all streams above its last one are disowned, those still to come too.
    pub(crate) fn gone_away(&self, connection: usize, last: u32) {
        self.0.send_modify(|entries| {
            let above: Vec<_> = entries
                .streams_of(connection)
                .map(|stream| stream.id)
                .filter(|id| *id > last)
                .collect();
            for id in above {
                entries.said(connection, id, Word::Disowned);
            }
            if let Some(seen) = entries.connections.get_mut(connection) {
                seen.last = Some(seen.last.map_or(last, |lowest| lowest.min(last)));
            }
        });
    }

    pub(crate) fn aborted(&self, connection: usize) {
        self.0
            .send_modify(|entries| entries.aborted.push(connection));
    }

    pub(crate) fn reset(&self, reset: SeenReset) {
        self.0.send_modify(|entries| entries.resets.push(reset));
    }
}
