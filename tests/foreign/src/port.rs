//! Ports of servers that are restarted.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

use crate::Failure;

/// A port of loopback that stays one server's while that server is down.
///
/// It is bound and never listened on: the port refuses connections, and the system gives it to no
/// other socket. A server that sets `SO_REUSEADDR` can listen on it.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _socket: TcpSocket,
}

impl ReservedPort {
    /// Reserves a free port.
    ///
    /// # Errors
    ///
    /// If no socket can be bound.
    pub fn new() -> Result<Self, Failure> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self {
            number: socket.local_addr()?.port(),
            _socket: socket,
        })
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}
