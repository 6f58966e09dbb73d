//! Addresses where nobody answers, for certain and for as long as the value lives.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that may wait for `accept`.
const BACKLOG: u32 = 1024;

/// A port that is ours and refuses connections, until someone listens on it.
#[derive(Debug)]
pub struct DeadPort {
    socket: TcpSocket,
    address: SocketAddr,
}

impl DeadPort {
    /// Takes a free port.
    #[must_use]
    pub fn new() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        got(Self::bind(any))
    }

    /// Where it is: `http://127.0.0.1:port`.
    #[must_use]
    pub fn uri(&self) -> String {
        uri(self.address)
    }

    pub(crate) fn at(address: SocketAddr) -> Self {
        got(Self::bind(address))
    }

    pub(crate) fn listen(self) -> (TcpListener, SocketAddr) {
        (got(self.socket.listen(BACKLOG)), self.address)
    }

    fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // A port that had connections a moment ago may be taken again.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }
}

impl Default for DeadPort {
    fn default() -> Self {
        Self::new()
    }
}

/// A port that leaves connection attempts without an answer: its queue is full and nobody accepts.
#[derive(Debug)]
pub struct HangingPort {
    _listener: TcpListener,
    address: SocketAddr,
    /// What fills the queue.
    _filling: TcpStream,
}

impl HangingPort {
    /// Takes a free port and fills its queue.
    pub async fn new() -> Self {
        got(Self::fill().await)
    }

    /// Where it is: `http://127.0.0.1:port`.
    #[must_use]
    pub fn uri(&self) -> String {
        uri(self.address)
    }

    async fn fill() -> io::Result<Self> {
        let DeadPort { socket, address } = DeadPort::new();
        // Linux lets one connection more into the queue than it is told.
        let listener = socket.listen(0)?;
        let filling = TcpStream::connect(address).await?;
        Ok(Self {
            _listener: listener,
            address,
            _filling: filling,
        })
    }
}

pub(crate) fn uri(address: SocketAddr) -> String {
    format!("http://{address}")
}

#[expect(
    clippy::expect_used,
    reason = "without a loopback socket no test can go on"
)]
fn got<T>(socket: io::Result<T>) -> T {
    socket.expect("a loopback socket")
}
