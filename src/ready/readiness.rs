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

/// What the calls of a channel have shown of its readiness: a handle to read, to wait on, and to
/// say that the server is up, [`reset_backoff`](Self::reset_backoff).
///
/// Make one and give it to the layer with
/// [`WaitForReadyLayer::readiness`](crate::WaitForReadyLayer::readiness), or take that of a service,
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
/// It knows what calls have shown, and nothing else: tonic's channel tells nothing of its
/// connections. A connection that dies while no call is under way still counts as ready, and a server that
/// comes up is noticed by the next call that tests the channel; without a call nothing is tested, and
/// [`ready`](Self::ready) says so. It dials nothing itself. Of a balanced channel it knows that
/// some endpoint answers, not which. Whoever knows more, from a health check or a resolver, says so
/// with [`reset_backoff`](Self::reset_backoff).
#[derive(Clone, Default)]
pub struct Readiness(Arc<GateState>);

/// What is known of a channel at one moment; its `Display` is one line for a log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReadinessSnapshot {
    /// What it is doing.
    pub state: ConnectivityState,
    /// Since when no connection can be made; `None` unless it is in `TransientFailure`.
    pub failing_since: Option<Instant>,
    /// How many dials have failed since then, or since the backoff was reset.
    pub failed_dials: u32,
    /// Why the last one failed, or the last connection was lost, or why the channel is shut down.
    pub last_error: Option<Arc<Error>>,
    /// What is wrong, if waiting rarely cures why the last one failed.
    pub connect_fault: Option<ConnectFault>,
    /// When the next dial is due; a call that comes then, or waits, makes it.
    pub next_dial: Option<Instant>,
    /// How many calls wait.
    pub waiting: usize,
    /// What their requests take together: bodies and headers, as far as they are complete.
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
    /// A handle of a channel of which nothing is known yet.
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

    /// What the channel is doing.
    #[must_use]
    pub fn state(&self) -> ConnectivityState {
        self.0.read(|shared| shared.channel.state())
    }

    /// All that is known now, of one moment.
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

    /// Waits until calls have shown the channel ready; at once if they have.
    ///
    /// It makes no call itself, and over a foreign channel nothing dials but a call. So it waits
    /// while a call tests the channel or waits for it, and else for a second, in which one may
    /// come: a task that was just spawned, or the next attempt of a call that fails fast. At a
    /// start make a first call and wait for both, or connect before: `Endpoint::connect` dials.
    ///
    /// ```
    /// # async fn example(channel: grpc_resilience::Resilient<tonic::transport::Channel>) {
    /// match channel.readiness().ready().await {
    ///     Ok(()) => println!("serving"),
    ///     // Shut down, or nobody calls: the error says which, its status why the last dial failed.
    ///     Err(error) => println!("not ready: {error}; {}", error.status()),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - The channel is shut down and will never be ready.
    /// - No call has been under way for a second: nothing dials the channel (CONTRACT V4). The
    ///   error says so, [`GiveUp::NotDialled`](crate::GiveUp::NotDialled), and the message of its
    ///   status how the channel last failed.
    pub async fn ready(&self) -> Result<(), Arc<Error>> {
        self.0.home.note();
        let mut grace = None;
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // Listens before it looks, so that it misses nothing.
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
                    // A call was here.
                    grace = None;
                }
            }
        }
    }

    /// Waits until the channel is in another state than this, and says in which; gRPC's
    /// `WaitForStateChange`. A state that lasts no longer than a moment may be missed. Without
    /// calls no state changes, and it goes on waiting.
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

    /// Says that the channel is worth a dial now, from somebody who knows: the first call that waits
    /// tests it at once, and the backoff starts anew. gRPC's `ResetConnectBackoff`. A channel that is
    /// not in `TransientFailure` is left as it is.
    pub fn reset_backoff(&self) {
        self.0.reset_backoff();
    }
}

/// As long as a default policy waits at most between two attempts of a call that fails fast.
const GRACE: Duration = Duration::from_secs(1);

/// Whether the change comes before the timer goes off.
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
