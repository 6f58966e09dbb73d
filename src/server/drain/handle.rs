use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use tokio::time::sleep;

use super::drive::drive;
use super::shared::Shared;
use super::{DrainIncoming, DrainIo, DrainLayer, Draining};

/// Stops a server without losing a call; see the [module](super).
///
/// Clones are handles to the same drain.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::Drain;
/// use tonic::transport::Server;
/// use tonic::transport::server::TcpIncoming;
///
/// let (reporter, health) = tonic_health::server::health_reporter();
/// let drain = Drain::builder()
///     .health(reporter, ["orders.v1.Orders"])
///     .build()?;
/// drain.start_on_sigterm()?;
/// let incoming = drain.incoming(TcpIncoming::bind("0.0.0.0:50051".parse()?)?);
/// let server = Server::builder()
///     .layer(drain.layer())
///     .add_service(health)
///     // .add_service(OrdersServer::new(orders))
///     .serve_with_incoming_shutdown(incoming, drain.goaway());
/// drain.run(server).await??;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Drain {
    pub(super) shared: Arc<Shared>,
}

/// How long the server may take to end after its connections are cut off.
const UNWINDING: Duration = Duration::from_millis(50);

impl Drain {
    /// Begins the drain; once it has begun, this does nothing.
    pub fn start(&self) {
        // The first one to set it starts the task.
        if !self.shared.is_asked_for() {
            self.shared.runtime.spawn(drive(Arc::clone(&self.shared)));
        }
    }

    /// Begins the drain when the future ends. Without a handle and a connection of this drain, the
    /// future is dropped.
    pub fn start_on(&self, signal: impl Future<Output = ()> + Send + 'static) {
        let gone = self.shared.gone();
        let shared = Arc::downgrade(&self.shared);
        self.shared.runtime.spawn(async move {
            if gone.run_until_cancelled(signal).await.is_some()
                && let Some(shared) = shared.upgrade()
            {
                Self { shared }.start();
            }
        });
    }

    /// Begins the drain at the SIGTERM by which Kubernetes, systemd and others stop a process.
    ///
    /// From then on no SIGTERM ends the process at once, not even one after the drain.
    ///
    /// # Errors
    ///
    /// If the system takes no handler for the signal.
    ///
    /// # Panics
    ///
    /// If the drain's runtime has no IO.
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn start_on_sigterm(&self) -> io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let _runtime = self.shared.runtime.enter();
        let mut sigterm = signal(SignalKind::terminate())?;
        self.start_on(async move {
            sigterm.recv().await;
        });
        Ok(())
    }

    /// The connections that a server accepts, so that each ends at the hard stop at the latest,
    /// whatever its peer does: for tonic's `serve_with_incoming_shutdown`, together with
    /// [`goaway`](Self::goaway).
    pub fn incoming<I, IO, E>(&self, incoming: I) -> DrainIncoming<I>
    where
        I: Stream<Item = Result<IO, E>>,
    {
        self.shared.knows_connections();
        DrainIncoming::new(incoming, Arc::clone(&self.shared))
    }

    /// One connection, for a server that accepts them itself.
    pub fn wrap<IO>(&self, io: IO) -> DrainIo<IO> {
        DrainIo::new(io, &self.shared)
    }

    /// Ready when the server has to accept nothing more and send GOAWAY: the signal for
    /// `serve_with_incoming_shutdown`, or for the `with_graceful_shutdown` of other servers.
    pub fn goaway(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.shared.goaway.clone().cancelled_owned()
    }

    /// What handlers hear of the drain.
    #[must_use]
    pub fn draining(&self) -> Draining {
        Draining::new(Arc::clone(&self.shared))
    }

    /// Puts [`Draining`] into the extensions of each request, and ends health watches at the
    /// GOAWAY.
    #[must_use]
    pub fn layer(&self) -> DrainLayer {
        DrainLayer::new(self.draining())
    }

    /// Runs a server until it has ended, and at most until 50 ms after the hard stop.
    ///
    /// If the server ends by itself during the drain, the drain is over once its hooks have ended,
    /// such as a deregistration, which this waits for: one drain is for one server.
    ///
    /// A handler that blocks a thread keeps the process alive, because a tokio runtime that is
    /// dropped waits for its threads. Call `std::process::exit` after this if there may be one.
    ///
    /// # Errors
    ///
    /// [`HardStop`] if the server had not ended by then, such as one that does not have its
    /// connections from [`incoming`](Self::incoming). It is dropped.
    pub async fn run<F: Future>(&self, server: F) -> Result<F::Output, HardStop> {
        let stopped = async {
            self.shared.stop.cancelled().await;
            sleep(UNWINDING).await;
        };
        tokio::select! {
            biased;
            output = server => {
                self.shared.ended.cancel();
                self.shared.hooks_ended().await;
                Ok(output)
            }
            () = stopped => Err(HardStop {}),
        }
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("times", &self.shared.times)
            .field("draining", &self.draining())
            .field("connections", &self.shared.connections())
            .finish_non_exhaustive()
    }
}

/// Returned by [`Drain::run`] for a server that had not ended at the hard stop.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::Drain;
/// use grpc_resilience::drain::HardStop;
///
/// let drain = Drain::builder().build()?;
/// drain.start();
/// let never = std::future::pending::<()>();
/// let HardStop { .. } = drain.run(never).await.unwrap_err();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server had not ended when the grace of its drain was over")]
#[non_exhaustive]
pub struct HardStop {}
