//! The server: tonic's own, on a runtime and a thread of its own, over loopback.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::Failure;
use crate::arrivals::Arrivals;
use crate::faults::Faults;
use crate::proto::storm_server::{Storm, StormServer};
use crate::proto::{Answer, Question};

/// A running server.
pub(crate) struct Server {
    address: SocketAddr,
    arrivals: Arc<Mutex<Arrivals>>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Server {
    /// Times are counted from `opening`.
    pub(crate) fn start(faults: Faults, opening: Instant) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let arrivals = Arc::<Mutex<Arrivals>>::default();
        let weather = Weather {
            faults,
            opening,
            arrivals: Arc::clone(&arrivals),
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("server".into())
            .spawn(move || serve(listener, weather, stopped))?;
        Ok(Self {
            address,
            arrivals,
            stop,
            thread,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and its connections; what reached it.
    pub(crate) fn stop(self) -> Result<Arrivals, Failure> {
        // One that ended by itself says why below.
        let _ = self.stop.send(());
        self.thread
            .join()
            .map_err(|_| "the server's thread panicked")??;
        Ok(self.arrivals.lock().clone())
    }
}

fn serve(
    listener: TcpListener,
    weather: Weather,
    stopped: oneshot::Receiver<()>,
) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let serving = tonic::transport::Server::builder()
            .add_service(StormServer::new(weather))
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        tokio::select! {
            ended = serving => ended?,
            _ = stopped => {}
        }
        Ok(())
    })
}

struct Weather {
    faults: Faults,
    opening: Instant,
    arrivals: Arc<Mutex<Arrivals>>,
}

#[tonic::async_trait]
impl Storm for Weather {
    async fn ask(&self, request: Request<Question>) -> Result<Response<Answer>, Status> {
        let at = self.opening.elapsed();
        let call = request.get_ref().call;
        let attempt = self.arrivals.lock().add(at, call, request.metadata());
        if self.faults.strike(at, call, attempt) {
            return Err(Status::unavailable("stormy"));
        }
        Ok(Response::new(Answer { call }))
    }
}
