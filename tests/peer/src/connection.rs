//! One connection: reads the client's frames, writes what the scripts order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::frame::{self, Frame, Kind};
use crate::hpack::Decoder;
use crate::journal::{Journal, SeenReset, Word};
use crate::player::Player;
use crate::script::{Connection, Reflexes};
use crate::wire::Wire;
use crate::{Reason, Stream};

/// What a script wants done with the socket; obeyed in the order of sending.
#[derive(Debug)]
pub(crate) enum Order {
    Write(Bytes),
    /// Frames of a stream, and what they say of it.
    Answer(u32, Word, Bytes),
    /// GOAWAY with this last stream.
    GoAway(u32, Reason),
    LeavePings,
    Silence,
    Close,
    Abort,
}

/// What is left of a connection after an order or a read.
enum Socket {
    Open,
    Gone,
}

pub(crate) struct Host<W> {
    number: usize,
    socket: W,
    closed_for_writing: bool,
    script: Connection,
    journal: Journal,
    inbox: BytesMut,
    hpack: Decoder,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Kept, so that `orders` never ends; given to every script.
    order: mpsc::UnboundedSender<Order>,
    players: JoinSet<()>,
    /// Counts our PINGs.
    pings: Arc<AtomicU64>,
}

impl<W: Wire> Host<W> {
    pub(crate) fn new(number: usize, socket: W, script: Connection, journal: Journal) -> Self {
        let (order, orders) = mpsc::unbounded_channel();
        Self {
            number,
            socket,
            closed_for_writing: false,
            script,
            journal,
            inbox: BytesMut::new(),
            hpack: Decoder::default(),
            orders,
            order,
            players: JoinSet::new(),
            pings: Arc::default(),
        }
    }

    /// Runs until either side has closed; a broken socket is an end like any other.
    pub(crate) async fn run(mut self) {
        let _ = self.serve().await;
        self.journal.on(self.number, |seen| seen.closed = true);
    }

    async fn serve(&mut self) -> io::Result<()> {
        self.greet().await?;
        let steps = Stream::from(std::mem::take(&mut self.script.steps));
        self.play(0, steps);
        loop {
            let socket = tokio::select! {
                biased;
                Some(order) = self.orders.recv() => self.obey(order).await?,
                Some(_) = self.players.join_next() => Socket::Open,
                read = self.socket.read_buf(&mut self.inbox) => match read? {
                    0 => Socket::Gone,
                    _ => self.take_in().await?,
                },
            };
            if let Socket::Gone = socket {
                return Ok(());
            }
        }
    }

    async fn greet(&mut self) -> io::Result<()> {
        let mut settings = vec![(
            frame::SETTING_INITIAL_WINDOW_SIZE,
            self.script.stream_window,
        )];
        if let Some(streams) = self.script.max_concurrent_streams {
            settings.push((frame::SETTING_MAX_CONCURRENT_STREAMS, streams));
        }
        self.reflex(frame::settings(&settings)).await?;
        let rest = frame::MAX_31_BIT - frame::DEFAULT_WINDOW;
        self.reflex(frame::window_update(0, rest)).await
    }

    async fn obey(&mut self, order: Order) -> io::Result<Socket> {
        match order {
            Order::Write(bytes) => {
                self.write(bytes).await?;
            }
            Order::Answer(stream, word, bytes) => {
                if self.write(bytes).await? {
                    self.journal.said(self.number, stream, word);
                }
            }
            Order::GoAway(last, reason) => {
                if self.write(frame::go_away(last, reason.0)).await? {
                    self.journal.gone_away(self.number, last);
                }
            }
            Order::LeavePings => self.script.reflexes = Reflexes::NoPong,
            Order::Silence => self.script.reflexes = Reflexes::Mute,
            Order::Close => {
                self.closed_for_writing = true;
                self.socket.shutdown().await?;
            }
            Order::Abort => {
                self.journal.aborted(self.number);
                self.socket.reset()?;
                return Ok(Socket::Gone);
            }
        }
        Ok(Socket::Open)
    }

    /// Handles what has arrived whole.
    async fn take_in(&mut self) -> io::Result<Socket> {
        if !self.journal.read(|seen| {
            seen.connection(self.number)
                .is_some_and(|seen| seen.preface)
        }) {
            if self.inbox.len() < frame::PREFACE.len() {
                return Ok(Socket::Open);
            }
            if self.inbox.split_to(frame::PREFACE.len()) != frame::PREFACE {
                return Ok(Socket::Gone);
            }
            self.journal.on(self.number, |seen| seen.preface = true);
        }
        while let Some(frame) = Frame::decode(&mut self.inbox) {
            self.react(frame).await?;
        }
        Ok(Socket::Open)
    }

    async fn react(&mut self, frame: Frame) -> io::Result<()> {
        let Frame { kind, stream, .. } = frame;
        match kind {
            Kind::Headers => {
                let head = self.hpack.decode(&frame.payload);
                let complete = frame.has(frame::END_STREAM);
                let opened = self.journal.headers(self.number, stream, head, complete);
                if opened {
                    let next = self.script.streams.pop_front();
                    let script = next.unwrap_or_else(|| self.script.other_streams.clone());
                    self.play(stream, script);
                }
            }
            Kind::Data => {
                self.journal.data(
                    self.number,
                    stream,
                    &frame.data(),
                    frame.has(frame::END_STREAM),
                );
                self.give_back(&frame).await?;
            }
            Kind::RstStream => {
                let reason = Reason(frame.number());
                self.journal.reset(SeenReset {
                    connection: self.number,
                    stream,
                    reason,
                });
            }
            Kind::Settings if frame.has(frame::ACK) => {
                self.journal
                    .on(self.number, |seen| seen.settings_acknowledged = true);
            }
            Kind::Settings => self.reflex(frame::settings_ack()).await?,
            Kind::Ping => self.ping(frame).await?,
            Kind::GoAway | Kind::WindowUpdate | Kind::Continuation | Kind::Other(_) => {}
        }
        Ok(())
    }

    async fn ping(&mut self, frame: Frame) -> io::Result<()> {
        if frame.has(frame::ACK) {
            let number = frame.payload.as_ref().try_into().map(u64::from_be_bytes);
            self.journal.on(self.number, |seen| {
                seen.pong = seen.pong.max(number.unwrap_or_default());
            });
            return Ok(());
        }
        self.journal.on(self.number, |seen| seen.pings += 1);
        if self.script.reflexes == Reflexes::NoPong {
            return Ok(());
        }
        self.reflex(frame::ping_ack(frame.payload)).await
    }

    /// Opens the connection's window again by what DATA took; a stream's window is large, or small on purpose.
    async fn give_back(&mut self, frame: &Frame) -> io::Result<()> {
        match u32::try_from(frame.payload.len()) {
            Ok(0) | Err(_) => Ok(()),
            Ok(taken) => self.reflex(frame::window_update(0, taken)).await,
        }
    }

    /// Writes what a peer says by itself.
    async fn reflex(&mut self, bytes: Bytes) -> io::Result<()> {
        match self.script.reflexes {
            Reflexes::All | Reflexes::NoPong => {
                self.write(bytes).await?;
            }
            Reflexes::None | Reflexes::Mute => {}
        }
        Ok(())
    }

    /// Writes, unless the connection is past that; tells whether it did.
    async fn write(&mut self, bytes: Bytes) -> io::Result<bool> {
        if self.closed_for_writing || self.script.reflexes == Reflexes::Mute {
            return Ok(false);
        }
        self.socket.write_all(&bytes).await?;
        Ok(true)
    }

    fn play(&mut self, stream: u32, script: Stream) {
        let player = Player::new(
            self.number,
            stream,
            self.journal.clone(),
            self.order.clone(),
            self.pings.clone(),
        );
        self.players.spawn(player.play(script));
    }
}
