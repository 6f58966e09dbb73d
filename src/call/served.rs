use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::Deadline;

tokio::task_local! {
    static CURRENT: ParentCall;
}

/// Whether this process ever served a call. In a pure client no call looks for a parent.
static IS_SERVER: AtomicBool = AtomicBool::new(false);

fn be_server() {
    // All threads read it for each call, so it is written once only.
    if !IS_SERVER.load(Ordering::Relaxed) {
        IS_SERVER.store(true, Ordering::Relaxed);
    }
}

/// A call that is being served, as the parent of the calls that its handler makes.
///
/// [`ServerDeadlineLayer`](crate::ServerDeadlineLayer) sets it for the handler's task and adds it
/// to the extensions of its request. The client's [`DeadlineLayer`](crate::DeadlineLayer) finds it
/// in the task that makes a call: that call ends at the parent's deadline, or as soon as the parent
/// call is answered or cancelled. A task that the handler spawns is a separate task; carry the
/// parent over:
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
/// or pass it to one call, `request.call_options().parent(served)`.
#[derive(Clone, Debug)]
pub struct ParentCall {
    deadline: Option<Deadline>,
    over: CancellationToken,
}

impl ParentCall {
    /// The call that the current task serves, if any.
    #[must_use]
    #[inline]
    pub fn current() -> Option<Self> {
        Self::look(Self::clone)
    }

    /// Whether the current task serves a call.
    #[inline]
    pub(crate) fn is_running() -> bool {
        Self::look(|_| ()).is_some()
    }

    /// Whether the current task serves a call that is over.
    #[inline]
    pub(crate) fn current_is_over() -> bool {
        Self::look(Self::is_over) == Some(true)
    }

    #[inline]
    fn look<T>(look: impl FnOnce(&Self) -> T) -> Option<T> {
        // Code inside a scope runs after the scope has set the flag.
        if !IS_SERVER.load(Ordering::Relaxed) {
            return None;
        }
        CURRENT.try_with(look).ok()
    }

    /// The latest end of calls made under it; `None` if the caller gave no timeout.
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

    /// Runs a future as part of it, so that the future's calls inherit its end; for a separate
    /// task.
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
    /// Starts a parent call, which is over when the guard is dropped.
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
    /// Cancelled when the call is over.
    pub(crate) fn ending(&self) -> CancellationToken {
        self.over.clone()
    }
}
