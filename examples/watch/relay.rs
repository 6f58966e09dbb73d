//! The network between the clients and the server, which can stop without a word.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use grpc_resilience_examples::Failure;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes bytes on, unless it is frozen. On drop its connections end.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    is_frozen: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    pub(crate) async fn to(server: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let is_frozen = watch::Sender::new(false);
        let frozen = Arc::new(is_frozen.subscribe());
        let task = tokio::spawn(async move {
            // A connection that can't be accepted is the client's to repeat.
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, watch::Receiver::clone(&frozen)));
            }
        });
        Ok(Self {
            address,
            is_frozen,
            task,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn freeze(&self, is_frozen: bool) {
        self.is_frozen.send_replace(is_frozen);
    }
}

async fn pass(client: TcpStream, server: SocketAddr, frozen: watch::Receiver<bool>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // When one direction ends, the sockets are closed.
    tokio::select! {
        () = copy(from_client, to_server, frozen.clone()) => {}
        () = copy(from_server, to_client, frozen) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut frozen: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if frozen.wait_for(|is_frozen| !is_frozen).await.is_err() {
            return;
        }
        let Some(read) = buffer.get(..length) else {
            return;
        };
        if to.write_all(read).await.is_err() {
            return;
        }
    }
}
