//! Whose channel is below a stack.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use clap::ValueEnum;
use grpc_resilience::channel::{self, Channel};
use grpc_resilience::classify::{Reason, TransportError};
use grpc_resilience::{BoxError, Error, Resilience};
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt as _};

use crate::Failure;

/// A stack over a channel: the same type over both.
pub type Wrapped = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Error>;

/// Whose channel is below the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Over {
    /// tonic's.
    Tonic,
    /// This crate's.
    Ours,
}

impl Over {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Ours, Self::Tonic];

    /// The stack over a channel to these servers, such as `http://127.0.0.1:1`, as it is by
    /// default, with a count of what is sent. tonic's is balanced if there are several.
    ///
    /// # Errors
    ///
    /// If one of them is no URI.
    pub fn wrap(
        self,
        stack: &Resilience,
        servers: &[String],
        sends: &Arc<Sends>,
    ) -> Result<Wrapped, Failure> {
        match self {
            Self::Tonic => {
                let channel = tonics(servers)?.map_request(sends.counts());
                Ok(boxed(stack.wrap(channel)))
            }
            Self::Ours => Ok(ours(stack, Channel::builder(target(servers)), sends)?.0),
        }
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tonic => "over tonic's",
            Self::Ours => "over ours",
        })
    }
}

/// What a stack handed to its channel.
#[derive(Debug, Default)]
pub struct Sends {
    sent: AtomicU64,
    refused: AtomicU64,
}

impl Sends {
    /// The attempts so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Those that the server refused by a reset of the stream, as far as the channel says that.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Counts each request of a channel.
    fn counts<T>(self: &Arc<Self>) -> impl Fn(T) -> T + Clone + Send + Sync + 'static {
        let sends = Arc::clone(self);
        move |request| {
            sends.sent.fetch_add(1, Relaxed);
            request
        }
    }
}

/// tonic's channel to these servers, balanced if there are several.
///
/// # Errors
///
/// If one of them is no URI.
pub fn tonics(servers: &[String]) -> Result<tonic::transport::Channel, Failure> {
    let endpoints = servers.iter().map(|it| Endpoint::from_shared(it.clone()));
    let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
    Ok(match &*endpoints {
        [only] => only.connect_lazy(),
        _ => tonic::transport::Channel::balance_list(endpoints.into_iter()),
    })
}

/// The same for ours.
fn target(servers: &[String]) -> String {
    if let [only] = servers {
        return only.clone();
    }
    let addresses = servers.iter().map(|it| it.trim_start_matches("http://"));
    format!("ipv4:{}", addresses.collect::<Vec<_>>().join(","))
}

/// The stack over the channel of this builder, with a count of what is sent, and the channel.
///
/// # Errors
///
/// If the builder finds a fault in what it was told.
pub fn ours(
    stack: &Resilience,
    builder: channel::Builder,
    sends: &Arc<Sends>,
) -> Result<(Wrapped, Channel), Failure> {
    let channel = builder.build()?;
    let refused = Arc::clone(sends);
    let counted = ServiceBuilder::new()
        .map_request(sends.counts())
        .map_err(move |error: TransportError| {
            if error.verdict().reason == Reason::StreamRefused {
                refused.refused.fetch_add(1, Relaxed);
            }
            error
        })
        .service(channel.clone());
    Ok((boxed(stack.wrap(counted)), channel))
}

fn boxed<S, B>(service: S) -> Wrapped
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Error = Error>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let service = service.map_response(|answer: http::Response<B>| answer.map(Body::new));
    BoxCloneSyncService::new(service)
}
