//! One HTTP/2 connection: dialled, driven, and used by calls.

mod allowance;
mod batch;
mod bdp;
mod cell;
mod complaints;
mod dial_error;
mod doubt;
mod driver;
mod facts;
mod frames;
mod handshake;
mod keepalive;
mod limit;
mod max_requests;
mod pings;
mod sent;
mod served;
mod shared;
mod silence;
mod slots;
mod stance;
mod tap;
mod watch;
mod watched;
mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::lines::Lines;
use super::load::Load;
use crate::error::BoxError;
use driver::Driver;

pub(crate) use complaints::Complaints;
pub use dial_error::DialError;
pub(crate) use driver::{Rest, Watcher};
pub(crate) use facts::Facts;
pub use handshake::Phase;
pub(crate) use handshake::{Http2, Progress};
pub(crate) use keepalive::Keepalive;
pub(crate) use max_requests::MaxRequests;
pub(crate) use sent::{First, Sent, Why};
pub(crate) use shared::Connection;
pub(crate) use tap::Io;
pub(crate) use watch::Unwatched;

/// What a connection is made of.
pub(crate) struct Plan {
    pub(crate) endpoint: Arc<str>,
    /// The endpoint's.
    pub(crate) load: Arc<Load>,
    pub(crate) http2: Http2,
    pub(crate) max_requests: MaxRequests,
    /// One stream is for the health watch.
    pub(crate) has_watch: bool,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) max_idle: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) queue: Arc<Lines>,
    pub(crate) complaints: Arc<Complaints>,
}

/// Makes a connection from what `io` connects, and starts its task. All phases together, those of
/// `io` included, take no longer than the connect timeout (CONTRACT C2).
pub(crate) async fn connect(
    plan: Plan,
    progress: &Progress,
    io: impl Future<Output = Result<Box<dyn Io>, BoxError>>,
    watcher: Arc<dyn Watcher>,
) -> Result<Arc<Connection>, DialError> {
    let shaken = timeout(plan.connect_timeout, async {
        handshake::shake(io.await?, &plan.http2, plan.load.epoch(), progress).await
    });
    let cause = match shaken.await {
        Ok(Ok((shaken, pings))) => {
            let runtime = Handle::current();
            let adaptive = plan
                .http2
                .adaptive_window
                .then_some(plan.http2.stream_window);
            let connection = Connection::new(&plan, shaken, runtime.clone());
            let connection = Arc::new(connection);
            watcher.opened();
            runtime.spawn(Driver::new(
                Arc::clone(&connection),
                watcher,
                pings::Pings::new(pings, adaptive),
                plan.max_idle,
            ));
            return Ok(connection);
        }
        Ok(Err(error)) => {
            if let Some(error) = error.downcast_ref() {
                plan.complaints.hear(&plan.endpoint, error);
            }
            Some(error)
        }
        Err(_) => None,
    };
    let phase = progress.get();
    Err(DialError::new(
        plan.endpoint,
        phase,
        plan.connect_timeout,
        cause,
    ))
}

/// The dial got as far as the first health answer, and no further: the connect timeout has passed,
/// or the connection was lost.
pub(crate) fn unanswered(
    connection: &Connection,
    connect_timeout: Duration,
    is_late: bool,
) -> DialError {
    let lost = || handshake::refusal(Ok(()), &connection.facts);
    DialError::new(
        Arc::clone(&connection.endpoint),
        Phase::Health,
        connect_timeout,
        (!is_late).then(lost),
    )
}

#[cfg(test)]
pub(in crate::channel) mod tests;
