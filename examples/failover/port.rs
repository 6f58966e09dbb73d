//! A node's port: the same for all its lives, and nobody else's in between.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(1);
const BETWEEN_TRIES: Duration = Duration::from_millis(5);
const BACKLOG: u32 = 1024;

/// A bound socket that never listens. While the node is dead its port refuses connections, yet the system gives it to
/// nobody else: not to another server, and not to a client that dials it, which would so be connected to itself.
pub(crate) struct Port {
    socket: TcpSocket,
}

impl Port {
    pub(crate) fn reserve() -> io::Result<Self> {
        Ok(Self {
            socket: bound_to((Ipv4Addr::LOCALHOST, 0).into())?,
        })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Listens on a reserved port as soon as the node that had it before has let go of it.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        match bound_to(address).and_then(|socket| socket.listen(BACKLOG)) {
            Err(_) if Instant::now() < give_up_at => sleep(BETWEEN_TRIES).await,
            outcome => return outcome,
        }
    }
}

fn bound_to(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
