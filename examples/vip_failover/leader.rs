//! A server that leads, or believes that it does.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use grpc_resilience_examples::Failure;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::proto::leader::leader_server::{self, LeaderServer};
use crate::proto::leader::{Ask, Told};

/// How long an `Append` runs, so that failovers find some half done.
const APPEND: Duration = Duration::from_millis(5);
/// A number of a stream follows on the last one after this.
const STEP: Duration = Duration::from_millis(5);

/// A server in this process.
#[derive(Clone)]
pub(crate) struct Leader {
    pub(crate) address: SocketAddr,
    inside: Arc<Inside>,
}

#[derive(Default)]
struct Inside {
    index: u32,
    is_dying: AtomicBool,
    /// How often each `Append` began.
    appended: Mutex<BTreeMap<u64, u32>>,
    /// When the last stream was given up.
    stopped: Mutex<Option<Instant>>,
}

impl Leader {
    pub(crate) async fn start(index: u32) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let inside = Arc::new(Inside {
            index,
            ..Inside::default()
        });
        let service = LeaderServer::new(Service(Arc::clone(&inside)));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = Server::builder().add_service(service);
        tokio::spawn(serving.serve_with_incoming(incoming));
        Ok(Self { address, inside })
    }

    pub(crate) fn index(&self) -> u32 {
        self.inside.index
    }

    /// From now on it answers that it ends.
    pub(crate) fn dies(&self) {
        self.inside.is_dying.store(true, Relaxed);
    }

    /// How often each `Append` began here.
    pub(crate) fn appended(&self) -> BTreeMap<u64, u32> {
        self.inside.appended.lock().clone()
    }

    /// When the last stream was given up.
    pub(crate) fn stopped(&self) -> Option<Instant> {
        *self.inside.stopped.lock()
    }
}

struct Service(Arc<Inside>);

impl Service {
    fn tell(&self, number: u64) -> Result<Response<Told>, Status> {
        if self.0.is_dying.load(Relaxed) {
            return Err(Status::unavailable("the leader ends"));
        }
        let leader = self.0.index;
        Ok(Response::new(Told { leader, number }))
    }
}

#[tonic::async_trait]
impl leader_server::Leader for Service {
    type FollowStream = ReceiverStream<Result<Told, Status>>;

    async fn read(&self, ask: Request<Ask>) -> Result<Response<Told>, Status> {
        sleep(Duration::from_millis(1)).await;
        self.tell(ask.get_ref().number)
    }

    async fn append(&self, ask: Request<Ask>) -> Result<Response<Told>, Status> {
        let number = ask.get_ref().number;
        *self.0.appended.lock().entry(number).or_default() += 1;
        sleep(APPEND).await;
        self.tell(number)
    }

    async fn follow(&self, ask: Request<Ask>) -> Result<Response<Self::FollowStream>, Status> {
        let (sender, receiver) = mpsc::channel(1);
        let (inside, after) = (Arc::clone(&self.0), ask.get_ref().number);
        tokio::spawn(async move {
            let mut steps = interval(STEP);
            for number in after + 1.. {
                tokio::select! {
                    () = sender.closed() => break,
                    _ = steps.tick() => {}
                }
                let leader = inside.index;
                if sender.send(Ok(Told { leader, number })).await.is_err() {
                    break;
                }
            }
            *inside.stopped.lock() = Some(Instant::now());
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
