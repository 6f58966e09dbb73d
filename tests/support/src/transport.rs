//! The ways a client reaches the server.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use grpc_resilience::channel as ours;
use http::Uri;
use tokio_stream::Stream;
use tonic::transport::{Channel, Endpoint};

use crate::{
    connection::ServerIo,
    memory::{Address, Dialer},
    tcp::Port,
};

/// What [`Transport::uri`] says in memory.
const IN_MEMORY: &str = "http://in-memory.test";

#[derive(Clone, Debug)]
pub(crate) enum Transport {
    Tcp(Arc<Port>),
    Memory(Arc<Address>),
}

pub(crate) type Accepted = Box<dyn Stream<Item = io::Result<ServerIo>> + Send + Unpin>;

impl Transport {
    pub(crate) fn open(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(port) => Box::new(port.open()?),
            Self::Memory(address) => Box::new(address.open()),
        })
    }

    pub(crate) fn close(&self) {
        match self {
            Self::Tcp(port) => port.close(),
            Self::Memory(address) => address.close(),
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "an IPv4 address and a port make a valid authority"
    )]
    pub(crate) fn uri(&self) -> Uri {
        match self {
            Self::Tcp(port) => format!("http://{}", port.addr())
                .parse()
                .expect("a socket address makes a valid URI"),
            Self::Memory(_) => Uri::from_static(IN_MEMORY),
        }
    }

    pub(crate) fn addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(port) => Some(port.addr()),
            Self::Memory(_) => None,
        }
    }

    /// How often it was dialled, if that can be known.
    pub(crate) fn dials(&self) -> Option<u64> {
        match self {
            Self::Tcp(_) => None,
            Self::Memory(address) => Some(address.dials()),
        }
    }

    pub(crate) fn set_dial_time(&self, time: Duration) {
        if let Self::Memory(address) = self {
            address.set_dial_time(time);
        }
    }

    pub(crate) fn connect_lazy(&self, endpoint: &Endpoint) -> Channel {
        match self {
            Self::Tcp(_) => endpoint.connect_lazy(),
            Self::Memory(address) => {
                endpoint.connect_with_connector_lazy(Dialer(Arc::clone(address)))
            }
        }
    }

    /// This crate's channel, of one connection as tonic's.
    #[expect(clippy::expect_used, reason = "the target of each transport is valid")]
    pub(crate) fn ours(&self) -> ours::Channel {
        let builder = match self {
            Self::Tcp(_) => ours::Channel::builder(self.uri().to_string()),
            // The connector does not look at the address.
            Self::Memory(address) => ours::Channel::builder("unix:in-memory")
                .connector(Dialer(Arc::clone(address)))
                .origin(self.uri()),
        };
        let channel = builder.max_connections(1).build();
        channel.expect("a server's target is valid")
    }
}
