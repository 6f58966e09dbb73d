use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::Deadline;

tokio::task_local! {
    static CURRENT: ParentCall;
}

/// Whether anybody ever served a call: in a client that does not, no call looks for one.
static IS_SERVER: AtomicBool = AtomicBool::new(false);

fn be_server() {
    // Read by all threads for each call, so written once.
    if !IS_SERVER.load(Ordering::Relaxed) {
        IS_SERVER.store(true, Ordering::Relaxed);
    }
}

/// A call that is being served, for the calls that are made on its behalf.
///
/// [`ServerDeadlineLayer`](crate::ServerDeadlineLayer) puts it around the handler and into the
/// extensions of its request. The [`DeadlineLayer`](crate::DeadlineLayer) of a client finds it in the
/// task that makes a call: the call ends at its deadline at the latest, and at once when the served
/// call is over, answered or cancelled. A task that the handler spawns is another one; carry it there:
///
/// ```
/// use grpc_resilience::call::ParentCall;
///
/// async fn handler(request: tonic::Request<()>) {
///     let work = async { /* calls made here end with the served one */ };
///     match request.extensions().get::<ParentCall>() {
///         Some(served) => tokio::spawn(served.clone().scope(work)),
///         None => tokio::spawn(work),
///     };
/// }
/// ```
///
/// or hand it to one call, `request.call_options().parent(served)`.
#[derive(Clone, Debug)]
pub struct ParentCall {
    deadline: Option<Deadline>,
    over: CancellationToken,
}

impl ParentCall {
    /// The call that the running task serves, if it serves one.
    #[must_use]
    #[inline]
    pub fn current() -> Option<Self> {
        Self::look(Self::clone)
    }

    /// Whether it serves one.
    #[inline]
    pub(crate) fn is_running() -> bool {
        Self::look(|_| ()).is_some()
    }

    /// Whether it serves one that is over.
    #[inline]
    pub(crate) fn current_is_over() -> bool {
        Self::look(Self::is_over) == Some(true)
    }

    #[inline]
    fn look<T>(look: impl FnOnce(&Self) -> T) -> Option<T> {
        // What runs in a scope comes after the scope began.
        if !IS_SERVER.load(Ordering::Relaxed) {
            return None;
        }
        CURRENT.try_with(look).ok()
    }

    /// When calls made on its behalf end at the latest; `None` if the caller gave no timeout.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// Whether it is over: answered to the last trailer, expired or cancelled.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// Waits until it is over.
    pub async fn ended(&self) {
        self.over.cancelled().await;
    }

    /// Runs a future as part of it, so that its calls inherit; for a task of its own.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        be_server();
        CURRENT.scope(self, future).await
    }
}

#[cfg_attr(
    not(feature = "server"),
    expect(dead_code, reason = "only the layers for servers begin one")
)]
impl ParentCall {
    /// A call that is over when the guard is dropped.
    pub(crate) fn begin(deadline: Option<Deadline>) -> (Self, tokio_util::sync::DropGuard) {
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        (Self { deadline, over }, guard)
    }

    /// Runs one step of the handler.
    pub(crate) fn step<T>(&self, step: impl FnOnce() -> T) -> T {
        be_server();
        CURRENT.sync_scope(self.clone(), step)
    }
}

impl ParentCall {
    /// Is cancelled when it is over.
    pub(crate) fn ending(&self) -> CancellationToken {
        self.over.clone()
    }
}
