//! What the handles and the connections of a drain share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::hooks::Hooks;
use super::machine::Times;
use crate::kernel::sync::{AtomicBool, Mutex, Ordering};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) times: Times,
    pub(super) runtime: Handle,
    pub(super) hooks: Mutex<Hooks>,
    /// When the drain began.
    pub(super) began: OnceLock<Instant>,
    pub(super) started: CancellationToken,
    /// Health and hooks are done.
    pub(super) announced: CancellationToken,
    pub(super) goaway: CancellationToken,
    pub(super) stop: CancellationToken,
    /// The server has ended.
    pub(super) ended: CancellationToken,
    /// Each open connection holds a receiver.
    open: watch::Sender<()>,
    /// Whether the drain knows the connections at all.
    knows_connections: AtomicBool,
    is_asked_for: AtomicBool,
    /// What waits for a signal ends with the last handle.
    gone: DropGuard,
}

impl Shared {
    pub(super) fn new(times: Times, hooks: Hooks, runtime: Handle) -> Self {
        Self {
            times,
            runtime,
            hooks: Mutex::new(hooks),
            began: OnceLock::new(),
            started: CancellationToken::new(),
            announced: CancellationToken::new(),
            goaway: CancellationToken::new(),
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
            open: watch::Sender::new(()),
            knows_connections: AtomicBool::new(false),
            is_asked_for: AtomicBool::new(false),
            gone: CancellationToken::new().drop_guard(),
        }
    }

    /// Counts a connection until the guard is dropped.
    pub(super) fn opened(self: &Arc<Self>) -> Open {
        self.knows_connections();
        Open {
            _counted: self.open.subscribe(),
            _shared: Arc::clone(self),
        }
    }

    /// From now on the drain is over once no connection is open.
    pub(super) fn knows_connections(&self) {
        self.knows_connections.store(true, Ordering::Release);
    }

    /// Whether the drain was asked for before; from now on it was.
    pub(super) fn is_asked_for(&self) -> bool {
        self.is_asked_for.swap(true, Ordering::AcqRel)
    }

    pub(super) fn connections(&self) -> usize {
        self.open.receiver_count()
    }

    /// Returns when the server has ended, or all its connections are closed.
    pub(super) async fn all_ended(&self) {
        if self.knows_connections.load(Ordering::Acquire) {
            tokio::select! {
                () = self.ended.cancelled() => {}
                () = self.open.closed() => {}
            }
        } else {
            self.ended.cancelled().await;
        }
    }

    /// Returns when no hook runs any more; at once, if no drain was asked for.
    pub(super) async fn hooks_ended(&self) {
        if self.is_asked_for.load(Ordering::Acquire) {
            // Their time bounds it, because the runtime that runs them may be shut down.
            let _ = timeout(self.times.hooks, self.announced.cancelled()).await;
        }
    }

    /// Since when the drain goes on.
    pub(super) fn elapsed(&self) -> Duration {
        self.began
            .get()
            .map_or(Duration::ZERO, |it| Instant::now().duration_since(*it))
    }

    pub(super) fn gone(&self) -> CancellationToken {
        self.gone.token().clone()
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(super) struct Open {
    _counted: watch::Receiver<()>,
    _shared: Arc<Shared>,
}
