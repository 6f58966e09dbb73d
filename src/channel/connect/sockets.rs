use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

use crate::channel::address::Address;
use crate::channel::connection::Io;

use super::{Connector, Dial, Dialled};

/// Dials TCP and Unix sockets.
#[derive(Clone, Debug)]
pub(in crate::channel) struct Sockets {
    pub(in crate::channel) nodelay: bool,
    pub(in crate::channel) keepalive: Option<Duration>,
    pub(in crate::channel) keepalive_interval: Option<Duration>,
    pub(in crate::channel) keepalive_retries: Option<u32>,
    pub(in crate::channel) local_address: Option<IpAddr>,
    /// How long sent bytes may stay unacknowledged (gRFC A18).
    pub(in crate::channel) user_timeout: Option<Duration>,
}

impl Sockets {
    async fn tcp(self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(local) = self.local_address {
            socket.bind(SocketAddr::new(local, 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(self.nodelay)?;
        self.keep_alive(&SockRef::from(&stream))?;
        Ok(stream)
    }

    fn keep_alive(&self, socket: &SockRef<'_>) -> io::Result<()> {
        let mut keepalive = TcpKeepalive::new();
        if let Some(time) = self.keepalive {
            keepalive = keepalive.with_time(time);
        }
        if let Some(interval) = self.keepalive_interval {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(retries) = self.keepalive_retries {
            keepalive = keepalive.with_retries(retries);
        }
        let is_set = self.keepalive.is_some()
            || self.keepalive_interval.is_some()
            || self.keepalive_retries.is_some();
        if is_set {
            socket.set_tcp_keepalive(&keepalive)?;
        }
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(self.user_timeout)?;
        Ok(())
    }

    async fn connect(self, address: Address) -> io::Result<Box<dyn Io>> {
        match address {
            Address::Tcp(address) => Ok(Box::new(self.tcp(address).await?)),
            #[cfg(unix)]
            Address::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
            #[cfg(target_os = "linux")]
            Address::Abstract(name) => Ok(Box::new(connect_abstract(&name)?)),
            #[cfg(not(target_os = "linux"))]
            other => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("this platform has no sockets of the kind {other}"),
            )),
        }
    }
}

/// The name has no file, so connecting takes no time: the kernel accepts or refuses at once.
#[cfg(target_os = "linux")]
fn connect_abstract(name: &str) -> io::Result<tokio::net::UnixStream> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixStream};

    let address = SocketAddr::from_abstract_name(name)?;
    let stream = UnixStream::connect_addr(&address)?;
    stream.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(stream)
}

impl Connector for Sockets {
    fn connect(&self, dial: Dial) -> Dialled {
        let this = self.clone();
        Box::pin(async move { Ok(Sockets::connect(this, dial.address).await?) })
    }
}
