//! A server in memory, whose connections can be cut after a number of frames.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use grpc_resilience::channel as ours;
use http::Uri;
use hyper_util::rt::TokioIo;
use test_protos::EchoServer;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Endpoint, Server};
use transports::{Channel, Transport};

use crate::numbers::Service;

/// HTTP/2's own default: a message that is larger comes in parts.
const WINDOW: u32 = 65_535;

const HEADERS: u8 = 1;
const RESET: u8 = 3;

/// How many frames of the server a connection lets pass; `None` for all.
pub(crate) type Cut = Arc<dyn Fn(usize) -> Option<usize> + Send + Sync>;

/// A server, and what connects to it.
#[derive(Clone)]
pub(crate) struct Net {
    accepting: mpsc::UnboundedSender<DuplexStream>,
    cut: Cut,
    pub(crate) passed: Arc<Mutex<Passed>>,
    _serving: Arc<Serving>,
}

/// What has passed.
#[derive(Default)]
pub(crate) struct Passed {
    pub(crate) dials: usize,
    pub(crate) cuts: usize,
    /// HEADERS and resets of the client, in their order.
    pub(crate) sent: Vec<(Sent, u32)>,
    pub(crate) open: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Headers,
    Reset,
}

struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Net {
    pub(crate) fn new(service: &Service) -> Self {
        Self::cut(service, Arc::new(|_| None))
    }

    pub(crate) fn cut(service: &Service, cut: Cut) -> Self {
        let (accepting, accepted) = mpsc::unbounded_channel();
        let accepted = UnboundedReceiverStream::new(accepted).map(io::Result::Ok);
        let router = Server::builder().add_service(EchoServer::new(service.clone()));
        let serving = tokio::spawn(async move {
            let _ = router.serve_with_incoming(accepted).await;
        });
        Self {
            accepting,
            cut,
            passed: Arc::default(),
            _serving: Arc::new(Serving(serving)),
        }
    }

    /// A channel to it over the transport of this test.
    pub(crate) fn channel(&self) -> Channel {
        match Transport::current() {
            Transport::Tonic => {
                let dial = self.clone();
                let connector = tower::service_fn(move |_: Uri| {
                    let dialled = dial.dial();
                    async move { dialled.map(TokioIo::new) }
                });
                Endpoint::from_static("http://in-memory.test")
                    .initial_stream_window_size(WINDOW)
                    .connect_with_connector_lazy(connector)
                    .into()
            }
            Transport::Ours => ours::Channel::builder("unix:host")
                .max_connections(1)
                .initial_stream_window_size(WINDOW)
                .connector(self.clone())
                .build()
                .unwrap()
                .into(),
        }
    }

    fn dial(&self) -> io::Result<Wire> {
        let (client, server) = duplex(64 * 1024);
        self.accepting
            .send(server)
            .map_err(|_| io::ErrorKind::ConnectionRefused)?;
        let mut passed = self.passed.lock().unwrap();
        passed.dials += 1;
        passed.open += 1;
        Ok(Wire {
            io: client,
            left: (self.cut)(passed.dials),
            read: Frames::default(),
            written: Frames::preface(),
            passed: Arc::clone(&self.passed),
        })
    }
}

impl tower::Service<ours::Address> for Net {
    type Response = Wire;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Wire>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _address: ours::Address) -> Self::Future {
        std::future::ready(self.dial())
    }
}

/// The client's end of a connection.
pub(crate) struct Wire {
    io: DuplexStream,
    /// The frames that the client still gets.
    left: Option<usize>,
    read: Frames,
    written: Frames,
    passed: Arc<Mutex<Passed>>,
}

/// Where one frame ends and the next begins.
#[derive(Default)]
struct Frames {
    head: VecDeque<u8>,
    payload: usize,
    /// Of the client's preface, before the first frame.
    before: usize,
}

impl Frames {
    fn preface() -> Self {
        Self {
            before: 24,
            ..Self::default()
        }
    }

    /// The bytes up to the next boundary of a head or a payload.
    fn until_boundary(&self) -> usize {
        match (self.before, self.payload) {
            (0, 0) => 9 - self.head.len(),
            (0, payload) => payload,
            (before, _) => before,
        }
    }

    /// Bytes up to the next boundary at most; the type and stream of a frame whose head ends here,
    /// and whether a frame ends here.
    fn pass(&mut self, bytes: &[u8]) -> (Option<(u8, u32)>, bool) {
        if self.before > 0 {
            self.before -= bytes.len();
            return (None, false);
        }
        if self.payload > 0 {
            self.payload -= bytes.len();
            return (None, self.payload == 0);
        }
        self.head.extend(bytes);
        if self.head.len() < 9 {
            return (None, false);
        }
        let head: Vec<u8> = self.head.drain(..).collect();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        self.payload = usize::try_from(length).unwrap();
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        (Some((head[3], stream)), self.payload == 0)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.passed.lock().unwrap().open -= 1;
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == Some(0) {
            return Poll::Ready(Ok(()));
        }
        let most = self.read.until_boundary().min(buffer.remaining());
        let mut part = vec![0; most];
        let mut part = ReadBuf::new(&mut part);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut part))?;
        buffer.put_slice(part.filled());
        let (_, is_end) = self.read.pass(part.filled());
        if is_end && let Some(left) = &mut self.left {
            *left -= 1;
            if *left == 0 {
                self.passed.lock().unwrap().cuts += 1;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.left == Some(0) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let most = self.written.until_boundary().min(bytes.len());
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, &bytes[..most]))?;
        let (frame, _) = self.written.pass(&bytes[..written]);
        let sent = match frame {
            Some((HEADERS, stream)) => Some((Sent::Headers, stream)),
            Some((RESET, stream)) => Some((Sent::Reset, stream)),
            _ => None,
        };
        self.passed.lock().unwrap().sent.extend(sent);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
