//! Who calls: tonic's client with a codec of bytes, over each channel.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use benches::{Failure, call};
use bytes::Bytes;
use clap::ValueEnum;
use grpc_resilience::Resilience;
use grpc_resilience::channel::Channel;
use http::uri::PathAndQuery;
use http_body::Body as HttpBody;
use peer::client::Raw;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tonic::Request;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::transport::Endpoint;

/// A channel by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    Tonic,
    TonicAgain,
    One,
    Ours,
    UnderResilience,
}

/// Runs a load. The first argument is the number of callers, the second the number of calls.
type Load = Box<dyn Fn(u32, u32) -> Pin<Box<dyn Future<Output = Result<(), Failure>>>>>;

impl Subject {
    pub(crate) const ALL: [Self; 5] = [
        Self::Tonic,
        Self::TonicAgain,
        Self::One,
        Self::Ours,
        Self::UnderResilience,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tonic => "tonic",
            Self::TonicAgain => "tonic again",
            Self::One => "ours, one connection",
            Self::Ours => "ours",
            Self::UnderResilience => "ours under Resilience, 30 s",
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Tonic => "tonic",
            Self::TonicAgain => "tonic-again",
            Self::One => "one",
            Self::Ours => "ours",
            Self::UnderResilience => "layered",
        }
    }

    /// The arguments of a process that makes calls.
    pub(crate) fn arguments(self, address: &str, callers: u32, calls: u32) -> [String; 5] {
        let (callers, calls) = (callers.to_string(), calls.to_string());
        let subject = self.argument().to_owned();
        ["calls".into(), subject, address.to_owned(), callers, calls]
    }

    /// Connects; within a runtime.
    pub(crate) async fn connect(self, address: &str) -> Result<Load, Failure> {
        let ours = Channel::builder(address);
        Ok(match self {
            Self::Tonic | Self::TonicAgain => {
                let endpoint = Endpoint::from_shared(address.to_owned())?;
                load(endpoint.connect().await?)
            }
            Self::One => load(ready(ours.max_connections(1).build()?).await?),
            Self::Ours => load(ready(ours.build()?).await?),
            Self::UnderResilience => {
                let channel = ready(ours.max_connections(1).build()?).await?;
                let stack = Resilience::new()
                    .idempotent(call::METHOD)?
                    .default_timeout(std::time::Duration::from_secs(30));
                load(stack.wrap(channel))
            }
        })
    }
}

async fn ready(channel: Channel) -> Result<Channel, Failure> {
    channel.ready().await?;
    Ok(channel)
}

fn load<S>(service: S) -> Load
where
    S: GrpcService<Body, Future: Send> + Clone + Send + Sync + 'static,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<Failure>,
{
    Box::new(move |callers, calls| {
        let service = service.clone();
        Box::pin(async move {
            let left = Arc::new(AtomicU32::new(calls));
            let mut tasks = JoinSet::new();
            for _ in 0..callers {
                let (service, left) = (service.clone(), Arc::clone(&left));
                tasks.spawn(async move {
                    let mut client = Grpc::new(service);
                    while left
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1))
                        .is_ok()
                    {
                        client.ready().await.map_err(|_| "not ready")?;
                        let request = Request::new(Bytes::from_static(&[7; 128]));
                        let path = PathAndQuery::from_static(call::METHOD);
                        let answer = client.unary(request, path, Raw).await;
                        answer.map_err(|status| status.to_string())?;
                    }
                    Ok::<_, String>(())
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended??;
            }
            Ok(())
        })
    })
}

/// A runtime for clients.
pub(crate) fn runtime(workers: usize) -> Result<Runtime, Failure> {
    let mut builder = match workers {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    Ok(builder
        .worker_threads(workers.max(1))
        .enable_all()
        .build()?)
}

/// Makes `calls` calls for callgrind to count.
pub(crate) fn run(
    subject: Subject,
    address: &str,
    callers: u32,
    calls: u32,
) -> Result<(), Failure> {
    runtime(0)?.block_on(async {
        let load = subject.connect(address).await?;
        load(callers, calls).await
    })
}
