//! The way to the server, which can be cut: TCP to a port that passes the bytes on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Cuts the connection that is open; the next one holds until it is cut too.
#[derive(Clone, Default)]
pub(crate) struct Cut(Arc<Notify>);

impl Cut {
    pub(crate) fn now(&self) {
        self.0.notify_one();
    }
}

/// Opens a port that leads to `server`, for one connection at a time.
pub(crate) async fn open(server: SocketAddr, cut: Cut) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let Ok(mut server) = TcpStream::connect(server).await else {
                continue;
            };
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                () = cut.0.notified() => {}
            }
        }
    });
    Ok(address)
}
