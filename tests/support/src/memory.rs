//! Connections without sockets, for tests on a paused clock.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use grpc_resilience::channel;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
    task::JoinSet,
};
use tokio_stream::{Stream, wrappers::UnboundedReceiverStream};
use tower::Service;

use crate::{
    connection::{Connections, ServerIo},
    lock::lock,
};

/// What either end of a connection can write before the other has to read.
const BUFFER: usize = 64 * 1024;

/// An address in memory: what dials it reaches the server while that runs, and is refused while it does not.
#[derive(Debug)]
pub(crate) struct Address {
    connections: Connections,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    accepting: Option<mpsc::UnboundedSender<ServerIo>>,
    dials: u64,
    dial_time: Duration,
}

impl Address {
    pub(crate) fn new(connections: Connections) -> Self {
        Self {
            connections,
            state: Mutex::default(),
        }
    }

    pub(crate) fn open(&self) -> Accepted {
        let (accepting, accepted) = mpsc::unbounded_channel();
        lock(&self.state).accepting = Some(accepting);
        Accepted(accepted.into())
    }

    pub(crate) fn close(&self) {
        lock(&self.state).accepting = None;
    }

    pub(crate) fn dials(&self) -> u64 {
        lock(&self.state).dials
    }

    pub(crate) fn set_dial_time(&self, time: Duration) {
        lock(&self.state).dial_time = time;
    }

    async fn dial(self: Arc<Self>) -> io::Result<DuplexStream> {
        let time = {
            let mut state = lock(&self.state);
            state.dials += 1;
            state.dial_time
        };
        if time.is_zero() {
            return self.accept();
        }
        // The network answers in its own time, whether or not anybody looks; who leaves breaks it off.
        let mut network = JoinSet::new();
        network.spawn(async move {
            tokio::time::sleep(time).await;
            self.accept()
        });
        let answer = network.join_next().await;
        answer.map_or(Err(io::ErrorKind::ConnectionRefused.into()), |it| it?)
    }

    fn accept(&self) -> io::Result<DuplexStream> {
        let state = lock(&self.state);
        let Some(accepting) = &state.accepting else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let (client, server) = duplex(BUFFER);
        accepting
            .send(self.connections.admit(server))
            .map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(client)
    }
}

/// The connections that come in until the address closes.
#[derive(Debug)]
pub(crate) struct Accepted(UnboundedReceiverStream<ServerIo>);

impl Stream for Accepted {
    type Item = io::Result<ServerIo>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx).map(|io| io.map(Ok))
    }
}

/// Dials an [`Address`], whatever the URI or the channel's address.
#[derive(Clone, Debug)]
pub(crate) struct Dialer(pub(crate) Arc<Address>);

impl Service<Uri> for Dialer {
    type Response = TokioIo<DuplexStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        let dial = Arc::clone(&self.0).dial();
        Box::pin(async move { dial.await.map(TokioIo::new) })
    }
}

impl Service<channel::Address> for Dialer {
    type Response = DuplexStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<DuplexStream>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _address: channel::Address) -> Self::Future {
        Box::pin(Arc::clone(&self.0).dial())
    }
}
