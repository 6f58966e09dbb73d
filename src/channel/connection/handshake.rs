use std::fmt;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use tokio::time::Instant;

use super::facts::Facts;
use super::tap::{Io, Tap};
use crate::error::BoxError;

/// The HTTP/2 settings of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Http2 {
    pub(crate) stream_window: u32,
    pub(crate) connection_window: u32,
    /// The windows grow to what an estimate finds.
    pub(crate) adaptive_window: bool,
    pub(crate) max_frame_size: Option<u32>,
    pub(crate) header_table_size: Option<u32>,
    pub(crate) max_header_list_size: u32,
    pub(crate) max_concurrent_reset_streams: Option<usize>,
    pub(crate) reset_stream_duration: Option<Duration>,
    pub(crate) max_local_error_reset_streams: Option<usize>,
    /// Streams at a time, at most.
    pub(crate) max_streams: u32,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            stream_window: 2 << 20,
            connection_window: 5 << 20,
            adaptive_window: false,
            max_frame_size: None,
            header_table_size: None,
            max_header_list_size: 16 << 10,
            max_concurrent_reset_streams: None,
            reset_stream_duration: None,
            // h2 takes an answer that crosses the reset of a stream that it has forgotten for a
            // fault of the server, and would close the connection at the 1,024th: a client that
            // drops a thousand calls at once, as at a deadline, would lose those that go on. What a
            // server may send is bounded by the allowance (CONTRACT C18).
            max_local_error_reset_streams: None,
            max_streams: u32::MAX,
        }
    }
}

impl Http2 {
    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(self.stream_window)
            .initial_connection_window_size(self.connection_window)
            .max_header_list_size(self.max_header_list_size)
            .max_local_error_reset_streams(self.max_local_error_reset_streams);
        if let Some(size) = self.max_frame_size {
            builder.max_frame_size(size);
        }
        if let Some(size) = self.header_table_size {
            builder.header_table_size(size);
        }
        if let Some(duration) = self.reset_stream_duration {
            builder.reset_stream_duration(duration);
        }
        if let Some(max) = self.max_concurrent_reset_streams {
            builder.max_concurrent_reset_streams(max);
        }
        builder
    }
}

/// How far a dial has got; see [`DialError`](super::DialError).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The transport connects: TCP, the Unix socket, or what a connector of your own does.
    Connect,
    /// The TLS handshake. A server that asks for a client certificate may refuse it later, while
    /// its SETTINGS are due (TLS 1.3).
    Tls,
    /// The dial waits for the server's first HTTP/2 SETTINGS.
    Settings,
    /// The dial waits for the answer to the first PING.
    Ping,
    /// The dial waits for the server to allow a stream, after SETTINGS that allow none.
    Streams,
    /// The dial waits for the first answer of the server's health service, of a channel with a
    /// [`health_check`](crate::channel::Builder::health_check).
    Health,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Tls => "doing the TLS handshake",
            Self::Settings => "waiting for the server's HTTP/2 SETTINGS",
            Self::Ping => "waiting for the answer to the first PING",
            Self::Streams => "waiting for the server to allow a stream",
            Self::Health => "waiting for the server's first health answer",
        })
    }
}

/// How far a dial has got, for the error of a dial that is ended from outside.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU8);

impl Progress {
    pub(crate) fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Connect,
            1 => Phase::Tls,
            2 => Phase::Settings,
            3 => Phase::Ping,
            _ => Phase::Streams,
        }
    }
}

/// A connection that is ready.
pub(super) struct Shaken {
    pub(super) send: SendRequest<Bytes>,
    pub(super) connection: h2::client::Connection<Tap, Bytes>,
    pub(super) facts: Arc<Facts>,
    pub(super) peer_limit: u32,
    pub(super) window: u32,
}

/// Makes an HTTP/2 connection, ready only after the peer's SETTINGS and its answer to the first
/// PING: a TCP or TLS handshake proves nothing, for the kernel accepts for a frozen process
/// (CONTRACT C1).
pub(super) async fn shake(
    io: Box<dyn Io>,
    http2: &Http2,
    epoch: Instant,
    progress: &Progress,
) -> Result<(Shaken, PingPong), BoxError> {
    progress.set(Phase::Settings);
    let facts = Arc::new(Facts::new(epoch));
    let tap = Tap::new(io, Arc::clone(&facts));
    let (send, mut connection) = http2.builder().handshake::<_, Bytes>(tap).await?;
    let mut pings = connection.ping_pong().ok_or("no PING can be sent")?;
    pings.send_ping(Ping::opaque())?;
    let mut has_pong = false;
    let peer_limit = poll_fn(|cx: &mut Context<'_>| {
        let over = Pin::new(&mut connection).poll(cx);
        if !has_pong && let Poll::Ready(pong) = pings.poll_pong(cx) {
            has_pong = pong.is_ok();
        }
        if let Poll::Ready(end) = over {
            return Poll::Ready(Err(refusal(end, &facts)));
        }
        if facts.go_away().is_some() {
            return Poll::Ready(Err(refusal(Ok(()), &facts)));
        }
        if facts.settings() == 0 {
            return Poll::Pending;
        }
        progress.set(Phase::Ping);
        if !has_pong {
            return Poll::Pending;
        }
        progress.set(Phase::Streams);
        match send.current_max_send_streams() {
            0 => Poll::Pending,
            limit => Poll::Ready(Ok(limit)),
        }
    })
    .await?;
    let shaken = Shaken {
        send,
        connection,
        facts,
        peer_limit: u32::try_from(peer_limit).unwrap_or(u32::MAX),
        window: http2.connection_window,
    };
    Ok((shaken, pings))
}

/// Why a connection ended before it was ready.
pub(super) fn refusal(end: Result<(), h2::Error>, facts: &Facts) -> BoxError {
    if let Some(go_away) = facts.go_away() {
        let (code, text) = (h2::Reason::from(go_away.code), facts.text());
        return format!("the server sent GOAWAY ({code}) {text:?}").into();
    }
    match end {
        Ok(()) => "the server closed the connection".into(),
        Err(error) => error.into(),
    }
}
