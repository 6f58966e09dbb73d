//! The port that nobody listens on yet, and who dials it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::Failure;
use grpc_resilience_examples::show::series::Series;

const BACKLOG: u32 = 1_024;

/// A bound socket that does not listen: its port refuses connections, and is nobody else's.
pub(super) struct Port {
    socket: TcpSocket,
}

impl Port {
    pub(super) fn reserve() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self { socket })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn listen(self) -> io::Result<TcpListener> {
        self.socket.listen(BACKLOG)?.into_std()
    }
}

/// Counts the dials of a channel, whatever becomes of them.
#[derive(Clone)]
pub(super) struct Dials {
    opening: Instant,
    seen: Arc<Mutex<Series>>,
}

impl Dials {
    pub(super) fn since(opening: Instant) -> Self {
        let seen = Arc::default();
        Self { opening, seen }
    }

    pub(super) fn opening(&self) -> Instant {
        self.opening
    }

    pub(super) fn seen(&self) -> Series {
        self.seen.lock().clone()
    }

    pub(super) fn channel(&self, address: SocketAddr) -> Result<Channel, Failure> {
        let dials = self.clone();
        let connector = service_fn(move |_: Uri| {
            dials.seen.lock().add(dials.opening.elapsed());
            async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok::<_, io::Error>(TokioIo::new(stream))
            }
        });
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        Ok(endpoint.connect_with_connector_lazy(connector))
    }
}
