//! The orders service, on a port of its own.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::BoxError;
use crate::pb::orders_server::{Orders, OrdersServer};
use crate::pb::{Order, OrderId};

/// Survives the restart, as a database would.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<BTreeMap<u64, Order>>>);

#[tonic::async_trait]
impl Orders for Store {
    /// Not idempotent: the second time it fails.
    async fn place_order(&self, request: Request<Order>) -> Result<Response<Order>, Status> {
        let order = request.into_inner();
        match self.0.lock().unwrap().insert(order.id, order.clone()) {
            None => Ok(Response::new(order)),
            Some(_) => Err(Status::already_exists("the order was placed twice")),
        }
    }

    async fn get_order(&self, request: Request<OrderId>) -> Result<Response<Order>, Status> {
        let order = self.0.lock().unwrap().get(&request.get_ref().id).cloned();
        order
            .map(Response::new)
            .ok_or_else(|| Status::not_found("no such order"))
    }
}

/// A server that does not run, and where it will.
pub struct Stopped {
    store: Store,
    address: SocketAddr,
}

impl Stopped {
    /// A server without orders, on a port that is found when it starts.
    pub fn new() -> Self {
        Self {
            store: Store::default(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }

    pub fn start(self) -> io::Result<Running> {
        let incoming = TcpIncoming::bind(self.address)?;
        let address = incoming.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let serving = Server::builder()
            .add_service(OrdersServer::new(self.store.clone()))
            .serve_with_incoming_shutdown(incoming, async {
                let _ = stopped.await;
            });
        Ok(Running {
            at: Self { address, ..self },
            stop,
            serving: tokio::spawn(serving),
        })
    }
}

pub struct Running {
    at: Stopped,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Running {
    pub fn uri(&self) -> String {
        format!("http://{}", self.at.address)
    }

    /// Lets the calls in flight finish and closes all connections.
    pub async fn stop(self) -> Result<Stopped, BoxError> {
        let _ = self.stop.send(());
        self.serving.await??;
        Ok(self.at)
    }
}
