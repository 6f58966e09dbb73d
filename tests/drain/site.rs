//! A tonic server that drains, and what connects to it, in memory.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::channel::{Address, Channel};
use grpc_resilience::drain::{DrainBuilder, Draining, HardStop};
use grpc_resilience::{Drain, Resilience, Resilient};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use peer::client::{Raw, unary};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tonic::body::Body;
use tonic::transport::Server;
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::{Service, ServiceExt as _, service_fn};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MS: Duration = Duration::from_millis(1);

/// The path of streams that go on until the drain.
pub(crate) const STREAM: &str = "/test.v1.Echo/ServerStream";
/// The path of streams that send as much as they can, for ever.
pub(crate) const FLOOD: &str = "/test.v1.Echo/Flood";

/// How many calls began, and how many the server has answered whole.
#[derive(Debug, Default)]
pub(crate) struct Count {
    pub(crate) started: AtomicUsize,
    pub(crate) finished: AtomicUsize,
}

impl Count {
    pub(crate) fn both(&self) -> (usize, usize) {
        let load = |it: &AtomicUsize| it.load(Ordering::Acquire);
        (load(&self.started), load(&self.finished))
    }
}

/// A server.
pub(crate) struct Site {
    pub(crate) drain: Drain,
    pub(crate) count: Arc<Count>,
    accept: mpsc::UnboundedSender<DuplexStream>,
    /// Ends when the server has ended, and says after which time from its start.
    pub(crate) server: JoinHandle<(Result<(), HardStop>, Instant)>,
}

impl Site {
    pub(crate) fn new(builder: DrainBuilder) -> Self {
        Self::with_health(builder, tonic_health::server::health_reporter().1)
    }

    pub(crate) fn with_health<H: Health>(builder: DrainBuilder, health: HealthServer<H>) -> Self {
        let drain = builder.build().unwrap();
        let count = Arc::<Count>::default();
        let (accept, accepted) = mpsc::unbounded_channel();
        let accepted = UnboundedReceiverStream::new(accepted).map(io::Result::Ok);
        let service = {
            let count = Arc::clone(&count);
            service_fn(move |request: Request<Body>| answer(request, count.clone(), health.clone()))
        };
        let server = Server::builder().layer(drain.layer());
        let (incoming, goaway) = (drain.incoming(accepted), drain.goaway());
        let serve = async move {
            server
                .serve_with_incoming_shutdown(service, incoming, goaway)
                .await
        };
        let run = drain.clone();
        let server = tokio::spawn(async move {
            let ended = run.run(serve).await;
            (ended.map(Result::unwrap), Instant::now())
        });
        Self {
            drain,
            count,
            accept,
            server,
        }
    }

    /// A connection, as the kernel makes it.
    pub(crate) fn dial(&self) -> io::Result<DuplexStream> {
        dial(&self.accept)
    }

    /// When the server ended, since the instant.
    pub(crate) async fn ended_after(&mut self, begin: Instant) -> (Result<(), HardStop>, Duration) {
        let (ended, at) = (&mut self.server).await.unwrap();
        (ended, at - begin)
    }
}

fn dial(accept: &mpsc::UnboundedSender<DuplexStream>) -> io::Result<DuplexStream> {
    let (client, server) = duplex(1 << 16);
    let sent = accept.send(server);
    sent.map_err(|_| io::ErrorKind::ConnectionRefused)?;
    Ok(client)
}

type Sent = Frame<Bytes>;

/// The message of a unary call says how many milliseconds the call takes.
async fn answer<H: Health>(
    request: Request<Body>,
    count: Arc<Count>,
    health: HealthServer<H>,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let response = Response::builder().header("content-type", "application/grpc");
    if parts.uri.path().starts_with("/grpc.health.v1.Health/") {
        return health.oneshot(Request::from_parts(parts, body)).await;
    }
    count.started.fetch_add(1, Ordering::AcqRel);
    let (frames, received) = mpsc::channel(1);
    match parts.uri.path() {
        STREAM => {
            let mut draining = parts.extensions.get::<Draining>().unwrap().clone();
            tokio::spawn(async move {
                loop {
                    tokio::select! {
                        () = sleep(100 * MS) => {
                            if frames.send(data(b"price")).await.is_err() {
                                return;
                            }
                        }
                        () = &mut draining => break,
                    }
                }
                let _ = frames.send(ok()).await;
                count.finished.fetch_add(1, Ordering::AcqRel);
            });
        }
        FLOOD => {
            tokio::spawn(async move { while frames.send(data(&[0; 8_000])).await.is_ok() {} });
        }
        _ => {
            let Ok(message) = body.collect().await else {
                return Ok(Response::new(Body::empty()));
            };
            let message = message.to_bytes();
            let time = std::str::from_utf8(&message[5..]).unwrap().parse().unwrap();
            sleep(Duration::from_millis(time)).await;
            tokio::spawn(async move {
                let _ = frames.send(data(b"done")).await;
                let _ = frames.send(ok()).await;
                count.finished.fetch_add(1, Ordering::AcqRel);
            });
        }
    }
    let body = StreamBody::new(ReceiverStream::new(received).map(Ok::<_, Infallible>));
    Ok(response.body(Body::new(body)).unwrap())
}

fn data(message: &[u8]) -> Sent {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    Frame::data([&[0], &length[..], message].concat().into())
}

fn ok() -> Sent {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    Frame::trailers(trailers)
}

/// Dials servers by their addresses.
#[derive(Clone, Default)]
pub(crate) struct Net(Arc<Mutex<HashMap<String, mpsc::UnboundedSender<DuplexStream>>>>);

impl Net {
    pub(crate) fn of<'a>(sites: impl IntoIterator<Item = (&'a str, &'a Site)>) -> Self {
        let named = |(name, site): (&str, &Site)| (name.to_owned(), site.accept.clone());
        Self(Arc::new(Mutex::new(sites.into_iter().map(named).collect())))
    }

    /// Our channel to all of them, under `Resilience` without a setting.
    pub(crate) fn channel(&self) -> Resilient<Channel> {
        let names: Vec<_> = self.0.lock().unwrap().keys().cloned().collect();
        let target = format!("ipv4:{}", names.join(","));
        let channel = Channel::builder(target).connector(self.clone());
        Resilience::new().wrap(channel.build().unwrap())
    }
}

impl Service<Address> for Net {
    type Response = DuplexStream;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<DuplexStream>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Address) -> Self::Future {
        std::future::ready(dial(&self.0.lock().unwrap()[&address.to_string()]))
    }
}

/// A unary call that takes this long.
pub(crate) async fn call(
    channel: &Resilient<Channel>,
    time: Duration,
) -> Result<(), tonic::Status> {
    let message = Bytes::from(time.as_millis().to_string());
    let request = tonic::Request::new(message);
    unary(channel.clone(), request).await.map(|_| ())
}

/// A server stream; how many messages came before it ended well.
pub(crate) async fn stream(channel: &Resilient<Channel>) -> Result<usize, tonic::Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let request = tonic::Request::new(Bytes::new());
    let path = http::uri::PathAndQuery::from_static(STREAM);
    let answer = client.server_streaming(request, path, Raw).await?;
    let mut messages = answer.into_inner();
    let mut count = 0;
    while messages.message().await?.is_some() {
        count += 1;
    }
    Ok(count)
}
