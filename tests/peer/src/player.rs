//! Plays the script of one stream, or of a connection (then the stream is 0).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::connection::Order;
use crate::frame;
use crate::journal::{Journal, Word};
use crate::{Headers, Reason, Step, Stream};

pub(crate) struct Player {
    connection: usize,
    stream: u32,
    journal: Journal,
    order: mpsc::UnboundedSender<Order>,
    pings: Arc<AtomicU64>,
}

impl Player {
    pub(crate) fn new(
        connection: usize,
        stream: u32,
        journal: Journal,
        order: mpsc::UnboundedSender<Order>,
        pings: Arc<AtomicU64>,
    ) -> Self {
        Self {
            connection,
            stream,
            journal,
            order,
            pings,
        }
    }

    pub(crate) async fn play(self, script: Stream) {
        for step in script.into_steps() {
            self.perform(step).await;
        }
    }

    async fn perform(&self, step: Step) {
        let stream = self.stream();
        match step {
            Step::AwaitRequest => {
                self.journal
                    .until(|seen| seen.is_complete(self.connection, stream))
                    .await;
            }
            Step::AwaitBytes(bytes) => {
                self.journal
                    .until(|seen| seen.has_bytes(self.connection, stream, bytes))
                    .await;
            }
            Step::AwaitStreams(count) => {
                self.journal
                    .until(|seen| seen.streams_of(self.connection).count() >= count)
                    .await;
            }
            Step::AwaitPreface => {
                self.journal
                    .until(|seen| {
                        seen.connection(self.connection)
                            .is_some_and(|seen| seen.preface)
                    })
                    .await;
            }
            Step::Gate(gate) => gate.passed().await,
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Settle => self.settle().await,
            Step::Stall => std::future::pending().await,
            Step::Headers(headers) => self.answer(
                Word::Spoken,
                frame::headers(stream, headers.block(), headers.ends_stream()),
            ),
            Step::Vouch(status) => {
                let path = self.journal.read(|seen| {
                    let stream = seen.streams_of(self.connection).find(|it| it.id == stream);
                    stream.and_then(|stream| stream.field(":path").map(str::to_owned))
                });
                let head = Headers::trailers_only(status)
                    .with("grpc-resilience-unprocessed", path.unwrap_or_default());
                self.answer(Word::Vouched, frame::headers(stream, head.block(), true));
            }
            Step::Data(data) => self.answer(Word::Spoken, frame::data(stream, data, false)),
            Step::LastData(data) => self.answer(Word::Spoken, frame::data(stream, data, true)),
            Step::Reset(reason) => {
                let word = match reason {
                    Reason::REFUSED_STREAM => Word::Disowned,
                    _ => Word::Spoken,
                };
                self.answer(word, frame::rst_stream(stream, reason.0));
            }
            Step::GoAway(last, reason) => self.order(Order::GoAway(last.id(stream), reason)),
            Step::MaxConcurrentStreams(count) => {
                self.write(frame::settings(&[(
                    frame::SETTING_MAX_CONCURRENT_STREAMS,
                    count,
                )]));
            }
            Step::Bytes(bytes) => self.write(bytes),
            Step::LeavePings => self.order(Order::LeavePings),
            Step::Silence => self.order(Order::Silence),
            Step::Close => self.order(Order::Close),
            Step::Abort => self.order(Order::Abort),
        }
    }

    /// This stream; for the script of a connection the newest one.
    fn stream(&self) -> u32 {
        if self.stream != 0 {
            return self.stream;
        }
        let newest = |seen: &crate::journal::Entries| {
            seen.streams_of(self.connection)
                .map(|stream| stream.id)
                .max()
        };
        self.journal.read(newest).unwrap_or_default()
    }

    async fn settle(&self) {
        let number = self.pings.fetch_add(1, Ordering::Relaxed) + 1;
        self.write(frame::ping(number));
        self.journal
            .until(|seen| {
                seen.connection(self.connection)
                    .is_some_and(|seen| seen.pong >= number)
            })
            .await;
    }

    /// Writes a frame of this stream, unless the client has already dropped it.
    fn answer(&self, word: Word, bytes: Bytes) {
        let stream = self.stream();
        if !self
            .journal
            .read(|seen| seen.is_reset(self.connection, stream))
        {
            self.order(Order::Answer(stream, word, bytes));
        }
    }

    fn write(&self, bytes: Bytes) {
        self.order(Order::Write(bytes));
    }

    fn order(&self, order: Order) {
        // The connection may be gone already; then there is nobody left to obey.
        let _ = self.order.send(order);
    }
}
