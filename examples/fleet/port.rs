//! A server's address: the same for all its lives, and no other program's in between.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

const BACKLOG: u32 = 1_024;
/// How many ports are tried, until one is free at every address.
const TRIES: usize = 32;

/// A bound socket that never listens: while the server is dead, its port refuses connections.
#[derive(Debug)]
pub struct Port {
    socket: TcpSocket,
}

impl Port {
    /// Any port of loopback.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn reserve() -> io::Result<Self> {
        Self::at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// One port at this number of addresses of loopback, as servers behind a name have.
    ///
    /// # Errors
    ///
    /// No port is free at all of them.
    pub fn reserve_same(count: u8) -> io::Result<Vec<Self>> {
        let mut last = None;
        for _ in 0..TRIES {
            let port = Self::reserve()?.address()?.port();
            let all = (1..=count).map(|host| {
                let ip = IpAddr::from([127, 0, 1, host]);
                Self::at((ip, port).into())
            });
            match all.collect() {
                Ok(ports) => return Ok(ports),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
    }

    fn at(address: SocketAddr) -> io::Result<Self> {
        let socket = bound_to(address)?;
        Ok(Self { socket })
    }

    /// Where it is.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Listens on a port that this or another process reserved.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bound_to(address)?.listen(BACKLOG)
}

fn bound_to(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
