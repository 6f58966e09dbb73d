use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::classify::ConnectFault;
use crate::error::Error;
use crate::kernel::timer::Timer;

use super::ConnectivityState;
use super::failure;
use super::gate_state::{GateState, Shared};

/// A handle to the readiness of a channel, as its calls have shown it: read it, await it, or report
/// that the server is up with [`reset_backoff`](Self::reset_backoff).
///
/// Make one and give it to the layer with
/// [`WaitForReadyLayer::readiness`](crate::WaitForReadyLayer::readiness), or take a service's,
/// [`WaitForReady::readiness`](crate::wait_for_ready::WaitForReady::readiness).
///
/// ```
/// use grpc_resilience::wait_for_ready::{ConnectivityState, Readiness, WaitForReadyLayer};
///
/// let readiness = Readiness::new();
/// let layer = WaitForReadyLayer::new().readiness(&readiness);
/// // .. a channel under this layer, and calls; then, in a health check or a log:
/// let now = readiness.snapshot();
/// assert_eq!(now.state, ConnectivityState::Idle);
/// println!("{now}");
/// ```
///
/// # Limits
///
/// The handle knows only what calls have shown: tonic's channel does not report its connections. It
/// dials nothing. A connection that dies while no call is under way still counts as ready. The next
/// call that probes the channel discovers a server that has come up; without a call nothing probes
/// it, and [`ready`](Self::ready) returns an error. For a balanced channel the handle knows that
/// some endpoint answers, but not which. A health check or a resolver that knows more reports it
/// with [`reset_backoff`](Self::reset_backoff).
#[derive(Clone, Default)]
pub struct Readiness(Arc<GateState>);

/// The state of a channel at one moment; its `Display` is one line for a log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReadinessSnapshot {
    /// The connectivity of the channel.
    pub state: ConnectivityState,
    /// When the outage began; `None` unless the state is `TransientFailure`.
    pub failing_since: Option<Instant>,
    /// How many dials have failed since then, or since the backoff was reset.
    pub failed_dials: u32,
    /// The error of the last dial or lost connection, or the reason of the shutdown.
    pub last_error: Option<Arc<Error>>,
    /// The fault of the last dial, if waiting rarely cures it.
    pub connect_fault: Option<ConnectFault>,
    /// When the next dial is due; a waiting or a new call makes it.
    pub next_dial: Option<Instant>,
    /// The number of waiting calls.
    pub waiting: usize,
    /// The size of their requests in bytes: bodies and headers, as far as they are complete.
    pub waiting_bytes: usize,
}

impl fmt::Display for ReadinessSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = Instant::now();
        write!(f, "{}", self.state)?;
        if let Some(since) = self.failing_since {
            let since = now.saturating_duration_since(since);
            write!(f, " for {since:.1?}, failed dials: {}", self.failed_dials)?;
        }
        if let Some(next) = self.next_dial {
            let next = next.saturating_duration_since(now);
            write!(f, ", next in {next:.1?}")?;
        }
        let (calls, bytes) = (self.waiting, self.waiting_bytes);
        write!(f, "; waiting calls: {calls}, {bytes} bytes")?;
        if let Some(error) = &self.last_error {
            write!(f, "; last error: {}", error.words())?;
        }
        Ok(())
    }
}

impl Readiness {
    /// A handle for a channel without calls so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn of(gate: &Arc<GateState>) -> Self {
        Self(Arc::clone(gate))
    }

    pub(crate) fn gate_state(&self) -> Arc<GateState> {
        Arc::clone(&self.0)
    }

    /// The connectivity of the channel.
    #[must_use]
    pub fn state(&self) -> ConnectivityState {
        self.0.read(|shared| shared.channel.state())
    }

    /// All fields, read at one moment.
    #[must_use]
    pub fn snapshot(&self) -> ReadinessSnapshot {
        self.0.read(|Shared { channel, queue, .. }| {
            let failing = channel.failing();
            ReadinessSnapshot {
                state: channel.state(),
                failing_since: failing.map(|it| it.since),
                failed_dials: failing.map_or(0, |it| it.dials),
                last_error: channel.last_error().cloned(),
                connect_fault: channel.last_error().and_then(|it| it.connect_fault()),
                next_dial: failing.map(|it| it.next_dial),
                waiting: queue.len(),
                waiting_bytes: queue.bytes(),
            }
        })
    }

    /// Waits until calls have shown the channel ready; returns at once if they have.
    ///
    /// It makes no call, and over a foreign channel only a call dials. So it waits while a call
    /// probes the channel or waits for it, and otherwise for one second, in which a spawned task or
    /// the next attempt of a fail-fast call may arrive. When a program starts, make a first call
    /// and await both, or connect before with `Endpoint::connect`.
    ///
    /// ```
    /// # async fn example(channel: grpc_resilience::Resilient<tonic::transport::Channel>) {
    /// match channel.readiness().ready().await {
    ///     Ok(()) => println!("serving"),
    ///     // Shut down or not dialled; the status contains the error of the last dial.
    ///     Err(error) => println!("not ready: {error}; {}", error.status()),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - The channel is shut down and will never be ready.
    /// - No call has been under way for a second, so nothing dials the channel (CONTRACT V4). The
    ///   error has [`GiveUp::NotDialled`](crate::GiveUp::NotDialled), and the message of its status
    ///   contains the channel's last failure.
    pub async fn ready(&self) -> Result<(), Arc<Error>> {
        self.0.home.note();
        let mut grace = None;
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // Registers before the check, so no change is missed.
            changed.as_mut().enable();
            let (state, error, is_dialled) = self.0.read(|Shared { channel, queue, .. }| {
                let is_dialled = channel.is_tested() || queue.len() > 0;
                (channel.state(), channel.last_error().cloned(), is_dialled)
            });
            match (state, error) {
                (ConnectivityState::Ready, _) => return Ok(()),
                (ConnectivityState::Shutdown, Some(error)) => return Err(error),
                _ if is_dialled => {
                    grace = None;
                    changed.await;
                }
                (_, last) => {
                    let until = *grace.get_or_insert_with(|| Instant::now() + GRACE);
                    if !comes_before(self.0.home.timer(until), changed).await {
                        return Err(Arc::new(failure::not_dialled(last)));
                    }
                    // A call was under way.
                    grace = None;
                }
            }
        }
    }

    /// Waits until the channel leaves the state `from` and returns the new state; gRPC's
    /// `WaitForStateChange`. Very short states may be missed. Without calls the state does not
    /// change, and this waits on.
    pub async fn changed(&self, from: ConnectivityState) -> ConnectivityState {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            let state = self.state();
            if state != from {
                return state;
            }
            changed.await;
        }
    }

    /// Reports that a dial is worthwhile now: the first waiting call probes the channel at once,
    /// and the backoff restarts. gRPC's `ResetConnectBackoff`. Has no effect unless the state is
    /// `TransientFailure`.
    pub fn reset_backoff(&self) {
        self.0.reset_backoff();
    }
}

/// The longest wait between two attempts of a fail-fast call under the default policy.
const GRACE: Duration = Duration::from_secs(1);

/// Whether the change happens before the timer expires.
async fn comes_before(mut timer: Timer, mut changed: Pin<&mut impl Future<Output = ()>>) -> bool {
    let first = poll_fn(|cx| match changed.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending => timer.poll(cx).map(|_| false),
    });
    first.await
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Readiness({})", self.snapshot())
    }
}
