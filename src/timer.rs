//! The only place where layers take timers from, wherever they are polled (CONTRACT D13).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{JoinHandle, try_id};
use tokio::time::{Instant, Sleep, sleep_until};

/// Later than any call ends, and not so late that a timer can't say it.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// The runtime in which a stack was built, or else first called: its timers come from there wherever the
/// polling thread has no runtime.
///
/// The handle keeps some memory of the runtime until the stack is gone.
#[derive(Clone, Default)]
pub(crate) struct Home(Arc<OnceLock<Handle>>);

/// There is no runtime that could wake a call: neither here nor where the stack comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRuntime;

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the call needs a timer, and no tokio runtime is there to run it: build the stack, or make \
             its first call, within a runtime that has its time enabled, and keep that running",
        )
    }
}

impl Home {
    /// That of a stack which is built here.
    pub(crate) fn here() -> Self {
        let home = Self::default();
        home.note();
        home
    }

    /// The stack is called here.
    #[inline]
    pub(crate) fn note(&self) {
        if self.0.get().is_none() {
            self.find();
        }
    }

    #[cold]
    fn find(&self) {
        if let Ok(runtime) = Handle::try_current() {
            // If another thread was faster, its runtime does as well.
            let _ = self.0.set(runtime);
        }
    }

    /// Whether there are timers for a call that begins here.
    #[inline]
    pub(crate) fn has_timers(&self) -> bool {
        self.note();
        self.0.get().is_some()
    }

    /// A timer that goes off at this instant.
    pub(crate) fn timer(&self, at: Instant) -> Timer {
        let kind = match Handle::try_current() {
            Ok(runtime) => Kind::Here(Box::pin(sleep_until(at)), runtime),
            Err(_) => match self.0.get() {
                Some(runtime) => Kind::There(Task::until(at, runtime.clone())),
                None => Kind::None,
            },
        };
        Timer { kind, at }
    }

    /// The same after this wait.
    #[cfg(feature = "retry")]
    pub(crate) fn timer_after(&self, wait: Duration) -> Timer {
        let now = Instant::now();
        self.timer(now.checked_add(wait).unwrap_or_else(|| now + FAR))
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_known = self.0.get().is_some();
        f.debug_struct("Home").field("is_known", &is_known).finish()
    }
}

/// Whether the thread runs tasks, or a future, of a runtime.
#[inline]
pub(crate) fn is_in_runtime() -> bool {
    try_id().is_some() || Handle::try_current().is_ok()
}

/// Wakes whoever polls it.
pub(crate) struct Timer {
    kind: Kind,
    at: Instant,
}

enum Kind {
    /// Of the runtime in which it was made.
    Here(Pin<Box<Sleep>>, Handle),
    /// Of the stack's home.
    There(Task),
    /// Of none.
    None,
}

impl Timer {
    /// When it goes off.
    #[cfg(feature = "wait-for-ready")]
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// Goes off at this instant instead.
    #[cfg(feature = "wait-for-ready")]
    pub(crate) fn reset(&mut self, at: Instant) {
        self.at = at;
        match &mut self.kind {
            Kind::Here(sleep, _) => sleep.as_mut().reset(at),
            Kind::There(task) => *task = Task::until(at, task.runtime.clone()),
            Kind::None => {}
        }
    }

    /// Ready once it goes off, or when it is known that it never does.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoRuntime>> {
        if let Kind::Here(_, runtime) = &self.kind
            && !is_in_runtime()
        {
            // tokio panics if a timer is polled whose runtime is over, and nothing tells whether it is.
            self.kind = Kind::There(Task::until(self.at, runtime.clone()));
        }
        let over = match &mut self.kind {
            Kind::Here(sleep, _) => return sleep.as_mut().poll(cx).map(Ok),
            Kind::There(task) => match Pin::new(&mut task.handle).poll(cx) {
                Poll::Ready(outcome) => outcome.map_err(|_| NoRuntime),
                Poll::Pending => return Poll::Pending,
            },
            Kind::None => Err(NoRuntime),
        };
        // What is due needs nobody to wake it.
        Poll::Ready(if self.at <= Instant::now() {
            Ok(())
        } else {
            over
        })
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timer").field(&self.at).finish()
    }
}

/// A task that ends at one instant: whoever waits for it hears when its runtime is over, too.
struct Task {
    handle: JoinHandle<()>,
    #[cfg_attr(
        not(feature = "wait-for-ready"),
        allow(dead_code, reason = "nobody else sets a timer anew")
    )]
    runtime: Handle,
}

impl Task {
    #[cold]
    fn until(at: Instant, runtime: Handle) -> Self {
        Self {
            handle: runtime.spawn(async move { sleep_until(at).await }),
            runtime,
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;
    use std::task::{Wake, Waker};
    use std::thread::Thread;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn runtime() -> Runtime {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_time().build().unwrap()
    }

    /// Parks a thread that no runtime knows until the timer says something.
    fn wait_for(mut timer: Timer) -> Result<(), NoRuntime> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut cx = Context::from_waker(&waker);
        loop {
            match timer.poll(&mut cx) {
                Poll::Ready(over) => return over,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    fn soon() -> Instant {
        Instant::now() + 5 * MS
    }

    // CONTRACT D13
    #[test]
    fn a_home_is_where_it_was_made_or_else_first_called() {
        let runtime = runtime();
        let built = runtime.block_on(async { Home::here() });
        assert_eq!(wait_for(built.timer(soon())), Ok(()));

        let called = Home::here();
        assert!(!called.has_timers());
        assert_eq!(wait_for(called.timer(soon())), Err(NoRuntime));
        runtime.block_on(async { called.note() });
        assert!(called.has_timers());
        assert_eq!(wait_for(called.timer(soon())), Ok(()));
    }

    // CONTRACT D13
    #[test]
    fn a_timer_waits_as_long_in_another_runtime_as_in_its_own() {
        let runtime = runtime();
        let home = runtime.block_on(async { Home::here() });
        let mut early = Vec::new();
        for in_runtime in [true, false] {
            let at = soon();
            if in_runtime {
                let mut timer = runtime.block_on(async { home.timer(at) });
                runtime.block_on(poll_fn(|cx| timer.poll(cx))).unwrap();
            } else {
                wait_for(home.timer(at)).unwrap();
            }
            early.push(Instant::now() < at);
        }
        assert_eq!(early, [false, false]);
    }

    // CONTRACT D13
    #[test]
    fn nothing_panics_or_hangs_once_the_runtime_is_over() {
        let runtime = runtime();
        let home = runtime.block_on(async { Home::here() });
        let late = Instant::now() + FAR;
        let (here, there) = (
            runtime.block_on(async {
                let mut timer = home.timer(late);
                poll_fn(|cx| Poll::Ready(timer.poll(cx).is_pending())).await;
                timer
            }),
            home.timer(late),
        );
        let (said, hears) = mpsc::channel();
        let waiting = std::thread::spawn(move || {
            said.send(()).unwrap();
            wait_for(there)
        });
        hears.recv().unwrap();
        drop(runtime);
        assert_eq!(waiting.join().unwrap(), Err(NoRuntime));
        assert_eq!(wait_for(here), Err(NoRuntime));
        assert_eq!(wait_for(home.timer(late)), Err(NoRuntime));
        assert_eq!(wait_for(home.timer(Instant::now())), Ok(()), "it is due");
    }

    // CONTRACT D13
    #[test]
    fn what_is_due_needs_no_runtime() {
        assert_eq!(wait_for(Home::here().timer(Instant::now())), Ok(()));
    }

    #[cfg(feature = "wait-for-ready")]
    #[test]
    fn a_timer_is_set_anew_wherever_it_runs() {
        let runtime = runtime();
        let home = runtime.block_on(async { Home::here() });
        let late = Instant::now() + FAR;
        let mut there = home.timer(late);
        there.reset(soon());
        assert_eq!(wait_for(there), Ok(()));
        runtime.block_on(async {
            let mut here = home.timer(late);
            let at = soon();
            here.reset(at);
            assert_eq!(here.at(), at);
            poll_fn(|cx| here.poll(cx)).await.unwrap();
        });
    }
}
