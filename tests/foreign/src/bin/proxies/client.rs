//! The clients that are compared.

use std::fmt;

use foreign::load::{CallId, Load};
use foreign::tally::Tally;
use foreign::{Failure, hand_loop};
use grpc_resilience::{Resilience, Resilient, channel};
use test_protos::{EchoClient, EchoRequest, FILE_DESCRIPTOR_SET};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// How a client makes its calls. It declares none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This crate over tonic's channel, as the README sets it up, without descriptors.
    Bare,
    /// The same with descriptors, which know the method to be unary.
    Described,
    /// This crate over its own channel, without descriptors.
    OwnChannel,
    /// A loop written by hand over tonic's channel, on UNAVAILABLE.
    HandLoop,
    /// The same on each failure of tonic's channel, whatever may have begun.
    EagerLoop,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::HandLoop,
        Self::Bare,
        Self::Described,
        Self::OwnChannel,
        Self::EagerLoop,
    ];

    /// Whether this crate makes the calls.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Bare | Self::Described | Self::OwnChannel)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bare => "ours",
            Self::Described => "ours, descriptors",
            Self::OwnChannel => "ours, own channel",
            Self::HandLoop => "hand loop",
            Self::EagerLoop => "eager loop",
        })
    }
}

/// A client that keeps its channel from turn to turn.
pub(crate) enum Client {
    Ours(Kind, EchoClient<Resilient<Channel>>),
    OwnChannel(EchoClient<Resilient<channel::Channel>>),
    Loop(Kind, EchoClient<Channel>),
}

impl Client {
    pub(crate) fn new(kind: Kind, port: u16) -> Result<Self, Failure> {
        let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?.connect_lazy();
        let ours = Resilience::new().default_timeout(hand_loop::TIMEOUT);
        Ok(match kind {
            Kind::Bare => Self::Ours(kind, EchoClient::new(ours.wrap(channel))),
            Kind::Described => {
                let ours = ours.descriptors(FILE_DESCRIPTOR_SET)?;
                Self::Ours(kind, EchoClient::new(ours.wrap(channel)))
            }
            Kind::OwnChannel => {
                let own = channel::Channel::builder(format!("ipv4:127.0.0.1:{port}")).build()?;
                Self::OwnChannel(EchoClient::new(ours.wrap(own)))
            }
            Kind::HandLoop | Kind::EagerLoop => Self::Loop(kind, EchoClient::new(channel)),
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Ours(kind, _) | Self::Loop(kind, _) => *kind,
            Self::OwnChannel(_) => Kind::OwnChannel,
        }
    }

    /// Makes the calls of one turn.
    pub(crate) async fn run(&self, load: &Load) -> Result<Tally, Failure> {
        match self {
            Self::Ours(_, client) => {
                let client = client.clone();
                let call = move |id: CallId| {
                    let mut client = client.clone();
                    async move { client.unary(id.request(message())).await.map(drop) }
                };
                load.run(call).await
            }
            Self::OwnChannel(client) => {
                let client = client.clone();
                let call = move |id: CallId| {
                    let mut client = client.clone();
                    async move { client.unary(id.request(message())).await.map(drop) }
                };
                load.run(call).await
            }
            Self::Loop(kind, client) => {
                let (client, eager) = (client.clone(), *kind == Kind::EagerLoop);
                load.run(move |id| looped(client.clone(), id, eager)).await
            }
        }
    }
}

/// Makes a call by the loop written by hand.
async fn looped(client: EchoClient<Channel>, id: CallId, eager: bool) -> Result<(), Status> {
    hand_loop::call(|| {
        let mut client = client.clone();
        async move {
            let ended = client.unary(id.request(message())).await.map(drop);
            match ended {
                Err(status) if eager => Err(Status::unavailable(status.message())),
                ended => ended,
            }
        }
    })
    .await
}

fn message() -> EchoRequest {
    EchoRequest {
        payload: vec![7; 100].into(),
        ..EchoRequest::default()
    }
}
