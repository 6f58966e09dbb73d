//! The server: tonic's own, on a runtime and a thread of its own, over loopback.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use grpc_resilience::ServerRateLimitLayer;
use http::Request as HttpRequest;
use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::tokio_stream::StreamExt;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tower::ServiceBuilder;

use crate::Failure;
use crate::arrivals::Arrivals;
use crate::faults::Faults;
use crate::proto::storm_server::{Storm, StormServer};
use crate::proto::{Answer, Question};

/// What the server does to the calls that come.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) faults: Faults,
    pub(crate) limit: ServerRateLimitLayer,
}

impl Setup {
    /// Fails some, and takes as many as come.
    pub(crate) fn faulty(faults: Faults) -> Self {
        let limit = ServerRateLimitLayer::unlimited();
        Self { faults, limit }
    }
}

/// A running server.
pub(crate) struct Server {
    address: SocketAddr,
    arrivals: Arc<Mutex<Arrivals>>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Server {
    /// Times are counted from `opening`.
    pub(crate) fn start(setup: Setup, opening: Instant) -> Result<Self, Failure> {
        Self::start_on(TcpListener::bind("127.0.0.1:0")?, setup, opening)
    }

    pub(crate) fn start_on(
        listener: TcpListener,
        setup: Setup,
        opening: Instant,
    ) -> Result<Self, Failure> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let arrivals = Arc::<Mutex<Arrivals>>::default();
        let weather = Weather {
            setup,
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
        let (door, arrivals) = (weather.clone(), Arc::clone(&weather.arrivals));
        let incoming =
            TcpIncoming::from(listener)
                .with_nodelay(Some(true))
                .map(move |connection| {
                    arrivals.lock().connections += u32::from(connection.is_ok());
                    connection
                });
        let layers = ServiceBuilder::new()
            .map_request(move |request| door.count(request))
            .layer(weather.setup.limit.clone());
        let serving = tonic::transport::Server::builder()
            .layer(layers)
            .add_service(StormServer::new(weather))
            .serve_with_incoming(incoming);
        tokio::select! {
            ended = serving => ended?,
            _ = stopped => {}
        }
        Ok(())
    })
}

#[derive(Clone)]
struct Weather {
    setup: Setup,
    opening: Instant,
    arrivals: Arc<Mutex<Arrivals>>,
}

impl Weather {
    /// Before the limit, so that those count too that are over it.
    fn count(&self, request: HttpRequest<Body>) -> HttpRequest<Body> {
        let at = self.opening.elapsed();
        self.arrivals.lock().add(at, request.headers());
        request
    }
}

#[tonic::async_trait]
impl Storm for Weather {
    async fn ask(&self, request: Request<Question>) -> Result<Response<Answer>, Status> {
        let at = self.opening.elapsed();
        let call = request.get_ref().call;
        let attempt = self.arrivals.lock().handle(call);
        if self.setup.faults.strike(at, call, attempt) {
            return Err(Status::unavailable("stormy"));
        }
        Ok(Response::new(Answer { call }))
    }
}
