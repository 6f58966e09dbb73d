use std::fmt;

use tokio::sync::oneshot;

use super::error::RegistrationError;
use super::keeper::{Keeper, Order};

/// A server that is registered; see [`Registration`](super::Registration).
///
/// When it is dropped, its task deregisters the server. No code waits for that, and if the runtime
/// shuts down at the same time, it does not happen: the check then fails once its time is over, and
/// until then clients find a server that is gone. So call [`deregister`](Self::deregister).
///
/// ```no_run
/// use grpc_resilience::Drain;
/// use grpc_resilience::consul::Registration;
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let registered = Registration::new("orders", "10.0.0.7:50051".parse()?).register().await?;
/// assert_eq!(registered.id(), "orders-10.0.0.7:50051");
/// // Before the notice time, in which clients hear of it:
/// let drain = Drain::builder()
///     .on_start(|| registered.deregister())
///     .build()?;
/// drain.start_on_sigterm()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "the server is deregistered when this is dropped"]
pub struct Registered {
    id: String,
    order: oneshot::Sender<Order>,
}

impl Registered {
    pub(super) fn new(keeper: Keeper) -> Self {
        let id = keeper.id().to_owned();
        let (order, ordered) = oneshot::channel();
        tokio::spawn(keeper.keep(ordered));
        Self { id, order }
    }

    /// What the agent calls this instance.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Deregisters the server: no new client finds it from now on, and clients that watch Consul
    /// hear of it within milliseconds. It takes 5 s at most, or 10 s if the agent answers no
    /// request.
    ///
    /// It is the first step of a drain: the server goes on to serve, because clients take some time
    /// to hear of it.
    ///
    /// # Errors
    ///
    /// The agent could not be reached, or refused. The agent finds out by the check that the server
    /// is gone.
    pub async fn deregister(self) -> Result<(), RegistrationError> {
        let (order, left) = oneshot::channel();
        if self.order.send(order).is_err() {
            return Err(RegistrationError::Stopped);
        }
        left.await.unwrap_or(Err(RegistrationError::Stopped))
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
