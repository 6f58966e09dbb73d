//! Endpoints in memory, for a paused clock: they can be started, stopped and frozen.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use grpc_resilience::channel::{Address, Builder, Channel};
use test_protos::EchoServer;
use testing::EchoService;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tower::Service;

use super::manner::Manner;

/// What connects to the endpoints.
#[derive(Clone, Default)]
pub(crate) struct Net {
    hosts: Arc<Mutex<HashMap<String, Listening>>>,
    pub(crate) seen: Arc<Seen>,
}

type Listening = (mpsc::UnboundedSender<End>, Arc<Line>);

/// What has passed on all connections.
#[derive(Default)]
pub(crate) struct Seen {
    /// Nothing passes any more, and nothing says so.
    is_frozen: AtomicBool,
    pub(crate) dials: AtomicUsize,
    pub(crate) writes: AtomicUsize,
    pub(crate) open: AtomicUsize,
}

/// An endpoint that runs a tonic server. On drop it is killed: its connections end.
pub(crate) struct Host {
    task: JoinHandle<()>,
    line: Arc<Line>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
        self.line.cut();
    }
}

impl Host {
    /// From now on nothing passes on its connections, and nothing says so.
    pub(crate) fn freeze(&self) {
        self.line.is_frozen.store(true, Ordering::Release);
    }

    /// From now on what it says does not arrive.
    pub(crate) fn hold(&self) {
        self.line.is_held.store(true, Ordering::Release);
    }

    /// All that it has said since arrives.
    pub(crate) fn go_on(&self) {
        self.line.is_held.store(false, Ordering::Release);
        self.line.wake();
    }
}

/// All connections of an endpoint.
#[derive(Default)]
struct Line {
    is_cut: AtomicBool,
    is_held: AtomicBool,
    is_frozen: AtomicBool,
    readers: Mutex<Vec<Waker>>,
}

impl Line {
    fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        self.readers.lock().unwrap().drain(..).for_each(Waker::wake);
    }

    fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }
}

impl Net {
    /// A channel to the endpoint `unix:host`.
    pub(crate) fn builder(&self) -> Builder {
        Channel::builder("unix:host").connector(self.clone())
    }

    /// An endpoint that accepts: what is sent here, the test has.
    pub(crate) fn accept(&self, name: &str) -> mpsc::UnboundedReceiver<End> {
        let (accepting, accepted) = mpsc::unbounded_channel();
        let host = (accepting, Arc::default());
        self.hosts.lock().unwrap().insert(name.into(), host);
        accepted
    }

    /// An endpoint that echoes.
    pub(crate) fn serve(&self, name: &str) -> Host {
        self.serve_with(name, Server::builder())
    }

    pub(crate) fn serve_with(&self, name: &str, mut server: Server) -> Host {
        let accepted = UnboundedReceiverStream::new(self.accept(name)).map(io::Result::Ok);
        let router = server.add_service(EchoServer::new(EchoService));
        self.host(name, async move {
            let _ = router.serve_with_incoming(accepted).await;
        })
    }

    /// An endpoint that echoes as this says.
    pub(crate) fn serve_as(&self, name: &str, manner: &Manner) -> Host {
        let accepted = UnboundedReceiverStream::new(self.accept(name)).map(io::Result::Ok);
        let router = Server::builder()
            .layer(manner.clone())
            .add_service(EchoServer::new(EchoService));
        self.host(name, async move {
            let _ = router.serve_with_incoming(accepted).await;
        })
    }

    /// An endpoint that goes away gracefully when the sender says so.
    pub(crate) fn serve_until(&self, name: &str) -> (oneshot::Sender<()>, Host) {
        let accepted = UnboundedReceiverStream::new(self.accept(name)).map(io::Result::Ok);
        let router = Server::builder().add_service(EchoServer::new(EchoService));
        let (stop, stopped) = oneshot::channel();
        let host = self.host(name, async move {
            let stopped = async {
                let _ = stopped.await;
            };
            let _ = router.serve_with_incoming_shutdown(accepted, stopped).await;
        });
        (stop, host)
    }

    pub(crate) fn host(
        &self,
        name: &str,
        serve: impl Future<Output = ()> + Send + 'static,
    ) -> Host {
        let task = tokio::spawn(serve);
        let line = Arc::clone(&self.hosts.lock().unwrap()[name].1);
        Host { task, line }
    }

    /// It refuses connections from now on.
    pub(crate) fn refuse(&self, name: &str) {
        self.hosts.lock().unwrap().remove(name);
    }

    /// From now on nothing passes, as if the peers were frozen or the network dropped all packets.
    pub(crate) fn freeze(&self) {
        self.seen.is_frozen.store(true, Ordering::Release);
    }

    pub(crate) fn dials(&self) -> usize {
        self.seen.dials.load(Ordering::Acquire)
    }

    pub(crate) fn open(&self) -> usize {
        self.seen.open.load(Ordering::Acquire)
    }
}

impl Service<Address> for Net {
    type Response = End;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<End>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Address) -> Self::Future {
        self.seen.dials.fetch_add(1, Ordering::AcqRel);
        let name = address.to_string();
        let name = name.trim_start_matches("unix:");
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let hosts = self.hosts.lock().unwrap();
        let connected = hosts
            .get(name)
            .ok_or_else(refused)
            .and_then(|(host, line)| {
                let (ours, theirs) = duplex(1 << 16);
                let theirs = End::new(theirs, None);
                host.send(theirs).map_err(|_| refused())?;
                Ok(End::new(
                    ours,
                    Some((Arc::clone(&self.seen), Arc::clone(line))),
                ))
            });
        std::future::ready(connected)
    }
}

/// One end of a connection; the client's is counted.
pub(crate) struct End {
    io: DuplexStream,
    seen: Option<Arc<Seen>>,
    line: Option<Arc<Line>>,
}

impl End {
    fn new(io: DuplexStream, client: Option<(Arc<Seen>, Arc<Line>)>) -> Self {
        let (seen, line) = client.unzip();
        if let Some(seen) = &seen {
            seen.open.fetch_add(1, Ordering::AcqRel);
        }
        Self { io, seen, line }
    }

    fn is_frozen(&self) -> bool {
        let line = self.line.as_ref();
        let is_frozen = line.is_some_and(|line| line.is_frozen.load(Ordering::Acquire));
        let seen = self.seen.as_ref();
        is_frozen || seen.is_some_and(|seen| seen.is_frozen.load(Ordering::Acquire))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(seen) = &self.seen {
            seen.open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_frozen() {
            return Poll::Pending;
        }
        if let Some(line) = &self.line {
            if line.is_cut() {
                return Poll::Ready(Ok(()));
            }
            line.readers.lock().unwrap().push(cx.waker().clone());
            if line.is_held.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for End {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_frozen() {
            // The kernel takes what is written.
            return Poll::Ready(Ok(buf.len()));
        }
        if self.line.as_ref().is_some_and(|line| line.is_cut()) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        if let (Poll::Ready(Ok(_)), Some(seen)) = (&written, &self.seen) {
            seen.writes.fetch_add(1, Ordering::AcqRel);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Connected for End {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}
