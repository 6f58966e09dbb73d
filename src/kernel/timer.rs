//! All timers of the layers come from here, on any polling thread (CONTRACT D13).

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::events;
use crate::kernel::sync::Mutex;

/// Later than any call ends, and within the range of a tokio timer.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// The runtime in which a stack was built or first called. It provides timers where the polling
/// thread has no runtime.
///
/// The handle keeps some memory of the runtime until the stack is dropped.
#[derive(Clone, Default)]
pub(crate) struct Home(Arc<OnceLock<Handle>>);

/// No timer is available: the stack's runtime has ended, or no thread can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRuntime;

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the call needs a timer, but no tokio runtime is left to run it: build the stack, or make its \
             first call, within a runtime with time enabled that keeps running",
        )
    }
}

impl Home {
    /// The runtime in which the stack is built.
    pub(crate) fn here() -> Self {
        let home = Self::default();
        home.note();
        home
    }

    /// Remembers the runtime of the first call.
    #[inline]
    pub(crate) fn note(&self) {
        if self.0.get().is_none() {
            self.find();
        }
    }

    #[cold]
    fn find(&self) {
        if let Ok(runtime) = Handle::try_current()
            && sleep_here(Instant::now(), &runtime).is_some()
        {
            // If another thread was faster, its runtime serves as well.
            let _ = self.0.set(runtime);
        }
    }

    /// A timer that expires at this instant.
    #[inline]
    pub(crate) fn timer(&self, at: Instant) -> Timer {
        Timer(match here(at) {
            Some(sleep) => Kind::Here(Box::pin(sleep)),
            None => Kind::Elsewhere(Box::new(self.elsewhere(at))),
        })
    }

    #[cold]
    fn elsewhere(&self, at: Instant) -> Elsewhere {
        let keeper = match self.0.get() {
            Some(runtime) => Keeper::Task(Task::until(at, runtime.clone())),
            None => Keeper::alone(at),
        };
        Elsewhere { at, keeper }
    }

    /// A timer that expires after this wait.
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

/// A timer of this thread's runtime, if there is one.
#[inline]
fn here(at: Instant) -> Option<Sleep> {
    let runtime = Handle::try_current().ok()?;
    sleep_here(at, &runtime)
}

/// The last runtimes that proved to be built without time. Allocated with the first one.
static TIMELESS: OnceLock<Mutex<Vec<runtime::Id>>> = OnceLock::new();

/// How many of them are remembered.
const MOST_TIMELESS: usize = 64;

/// A timer of the thread's runtime; `None` if it was built without time.
///
/// tokio has no query for that: it panics, and the panic hook runs, once for each runtime.
#[inline]
pub(crate) fn sleep_here(at: Instant, runtime: &Handle) -> Option<Sleep> {
    let timeless = TIMELESS.get();
    if timeless.is_some_and(|timeless| timeless.lock().contains(&runtime.id())) {
        return None;
    }
    let made = catch_unwind(|| sleep_until(at));
    if made.is_err() {
        remember_timeless(runtime.id());
    }
    made.ok()
}

#[cold]
fn remember_timeless(id: runtime::Id) {
    let mut timeless = TIMELESS.get_or_init(Mutex::default).lock();
    if timeless.len() == MOST_TIMELESS {
        timeless.remove(0);
    }
    timeless.push(id);
}

/// The runtime of a timer has ended, or is ending, and drives no timers.
#[derive(Debug)]
pub(crate) struct CutOff;

/// Polls a timer, which may belong to another runtime than the thread's.
///
/// A runtime that ends completes all its timers, and polling one panics from shortly before that.
#[inline]
pub(crate) fn poll(sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<Result<(), CutOff>> {
    if sleep.is_elapsed() {
        let is_due = sleep.deadline() <= Instant::now();
        return Poll::Ready(if is_due { Ok(()) } else { Err(CutOff) });
    }
    match catch_unwind(AssertUnwindSafe(|| sleep.poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(_) => Poll::Ready(Err(CutOff)),
    }
}

/// Wakes the task that polls it.
pub(crate) struct Timer(Kind);

enum Kind {
    /// A timer of the runtime in which it was made.
    Here(Pin<Box<Sleep>>),
    Elsewhere(Box<Elsewhere>),
}

/// A timer that was made, or is polled, outside a runtime.
struct Elsewhere {
    at: Instant,
    keeper: Keeper,
}

enum Keeper {
    /// A task in the stack's home runtime.
    Task(Task),
    /// A thread, without a runtime.
    Alone(Thread),
    None,
}

impl Keeper {
    fn alone(at: Instant) -> Self {
        Thread::until(at).map_or(Self::None, Self::Alone)
    }
}

impl Timer {
    /// When it expires.
    pub(crate) fn at(&self) -> Instant {
        match &self.0 {
            Kind::Here(sleep) => sleep.deadline(),
            Kind::Elsewhere(elsewhere) => elsewhere.at,
        }
    }

    /// Sets a new instant.
    pub(crate) fn reset(&mut self, at: Instant) {
        match &mut self.0 {
            Kind::Here(sleep) => sleep.as_mut().reset(at),
            Kind::Elsewhere(elsewhere) => {
                elsewhere.at = at;
                elsewhere.keeper = match &elsewhere.keeper {
                    Keeper::Task(task) => Keeper::Task(Task::until(at, task.runtime.clone())),
                    Keeper::Alone(_) | Keeper::None => Keeper::alone(at),
                };
            }
        }
    }

    /// Ready once it expires, or with an error if it never can.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoRuntime>> {
        match &mut self.0 {
            Kind::Here(sleep) => match poll(sleep.as_mut(), cx) {
                Poll::Ready(Err(CutOff)) => self.poll_moved(cx),
                polled => polled.map(|_| Ok(())),
            },
            Kind::Elsewhere(_) => self.poll_elsewhere(cx),
        }
    }

    /// Its runtime has ended; the polling thread may be in another one.
    #[cold]
    fn poll_moved(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoRuntime>> {
        let at = self.at();
        if let Some(sleep) = here(at) {
            let mut sleep = Box::pin(sleep);
            let polled = poll(sleep.as_mut(), cx);
            // The thread may still be inside the handle of the runtime that has ended.
            if !matches!(polled, Poll::Ready(Err(CutOff))) {
                self.0 = Kind::Here(sleep);
                return polled.map(|_| Ok(()));
            }
        }
        *self = Self::alone(at);
        self.poll_elsewhere(cx)
    }

    /// A timer on a thread of its own, without a runtime.
    #[cold]
    pub(crate) fn alone(at: Instant) -> Self {
        let keeper = Keeper::alone(at);
        Self(Kind::Elsewhere(Box::new(Elsewhere { at, keeper })))
    }

    #[cold]
    fn poll_elsewhere(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoRuntime>> {
        let Kind::Elsewhere(elsewhere) = &mut self.0 else {
            return Poll::Pending;
        };
        let over = match &mut elsewhere.keeper {
            Keeper::Task(task) => match Pin::new(&mut task.handle).poll(cx) {
                Poll::Ready(outcome) => outcome.map_err(|_| NoRuntime),
                Poll::Pending => return Poll::Pending,
            },
            Keeper::Alone(thread) => return thread.poll(cx).map(Ok),
            Keeper::None => Err(NoRuntime),
        };
        // An instant that has passed needs no waker.
        Poll::Ready(if elsewhere.at <= Instant::now() {
            Ok(())
        } else {
            over
        })
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timer").field(&self.at()).finish()
    }
}

/// A task that ends at one instant, or with its runtime; both wake the waiting task.
struct Task {
    handle: JoinHandle<()>,
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

static ALONE: events::Once = events::Once::new();

/// A thread that ends at one instant, for a timer without a runtime.
struct Thread {
    shared: Arc<Mutex<Alone>>,
    handle: thread::Thread,
}

#[derive(Default)]
struct Alone {
    is_over: bool,
    /// The owner of the timer dropped it.
    is_left: bool,
    waker: Option<Waker>,
}

impl Thread {
    #[cold]
    fn until(at: Instant) -> Option<Self> {
        ALONE.say(events::no_runtime);
        let shared = Arc::<Mutex<Alone>>::default();
        let of_thread = Arc::clone(&shared);
        let builder = thread::Builder::new().name("grpc-resilience-timer".into());
        let thread = builder.spawn(move || sleep(at, &of_thread)).ok()?;
        Some(Self {
            shared,
            handle: thread.thread().clone(),
        })
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut alone = self.shared.lock();
        if alone.is_over {
            return Poll::Ready(());
        }
        let before = alone.waker.replace(cx.waker().clone());
        drop(alone);
        // Dropped outside the lock: a waker may run any code on drop.
        drop(before);
        Poll::Pending
    }
}

fn sleep(at: Instant, shared: &Mutex<Alone>) {
    loop {
        let wait = at.saturating_duration_since(Instant::now());
        let mut alone = shared.lock();
        if alone.is_left {
            return;
        }
        if wait.is_zero() {
            alone.is_over = true;
            let waker = alone.waker.take();
            drop(alone);
            waker.into_iter().for_each(Waker::wake);
            return;
        }
        drop(alone);
        thread::park_timeout(wait);
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let waker = {
            let mut alone = self.shared.lock();
            alone.is_left = true;
            alone.waker.take()
        };
        drop(waker);
        self.handle.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;
    use std::task::Wake;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn runtime() -> Runtime {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_time().build().unwrap()
    }

    /// Parks a thread outside any runtime until the timer completes.
    fn wait_for(mut timer: Timer) -> Result<(), NoRuntime> {
        struct Unpark(thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut cx = Context::from_waker(&waker);
        loop {
            match timer.poll(&mut cx) {
                Poll::Ready(over) => return over,
                Poll::Pending => thread::park(),
            }
        }
    }

    fn is_alone(timer: &Timer) -> bool {
        let Kind::Elsewhere(elsewhere) = &timer.0 else {
            return false;
        };
        matches!(elsewhere.keeper, Keeper::Alone(_))
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
        assert!(is_alone(&called.timer(soon())));
        runtime.block_on(async { called.note() });
        assert!(!is_alone(&called.timer(soon())));
        assert_eq!(wait_for(called.timer(soon())), Ok(()));
    }

    // CONTRACT D13
    #[test]
    fn a_timer_waits_as_long_in_another_runtime_as_in_its_own() {
        let runtime = runtime();
        let home = runtime.block_on(async { Home::here() });
        let mut early = Vec::new();
        for kind in 0..3 {
            let at = soon();
            match kind {
                0 => {
                    let mut timer = runtime.block_on(async { home.timer(at) });
                    runtime.block_on(poll_fn(|cx| timer.poll(cx))).unwrap();
                }
                1 => wait_for(home.timer(at)).unwrap(),
                _ => wait_for(Home::here().timer(at)).unwrap(),
            }
            early.push(Instant::now() < at);
        }
        assert_eq!(early, [false, false, false]);
    }

    // CONTRACT D13
    #[test]
    fn nothing_panics_or_hangs_once_the_runtime_is_over() {
        let runtime = runtime();
        let home = runtime.block_on(async { Home::here() });
        let late = Instant::now() + FAR;
        let (here, there) = (
            runtime.block_on(async {
                let mut timer = home.timer(soon());
                poll_fn(|cx| Poll::Ready(timer.poll(cx).is_pending())).await;
                timer
            }),
            home.timer(late),
        );
        let (said, hears) = mpsc::channel();
        let waiting = thread::spawn(move || {
            said.send(()).unwrap();
            wait_for(there)
        });
        hears.recv().unwrap();
        drop(runtime);
        assert_eq!(waiting.join().unwrap(), Err(NoRuntime));
        assert_eq!(wait_for(here), Ok(()), "a thread keeps it");
        assert_eq!(wait_for(home.timer(late)), Err(NoRuntime));
        assert_eq!(wait_for(home.timer(Instant::now())), Ok(()), "it is due");
    }

    // CONTRACT D13: a kept handle may enter its runtime after the end of that runtime
    #[test]
    fn a_timer_in_what_is_left_of_a_runtime_goes_on_by_a_thread() {
        let runtime = runtime();
        let home = runtime.block_on(async { Home::here() });
        let left = runtime.handle().clone();
        let mut began = runtime.block_on(async {
            let mut timer = home.timer(soon());
            poll_fn(|cx| Poll::Ready(timer.poll(cx).is_pending())).await;
            timer
        });
        drop(runtime);
        let _entered = left.enter();
        let at = soon();
        assert_eq!(wait_for(home.timer(at)), Ok(()));
        assert!(Instant::now() >= at);
        let mut cx = Context::from_waker(Waker::noop());
        let _ = began.poll(&mut cx);
        assert_eq!(wait_for(began), Ok(()));
    }

    // CONTRACT D13
    #[test]
    fn a_timer_that_moves_goes_on_in_the_runtime_that_polls_it() {
        let (gone, next) = (runtime(), runtime());
        let at = Instant::now() + 1_000 * MS;
        let mut timer = gone.block_on(async {
            let mut timer = Home::here().timer(at);
            poll_fn(|cx| Poll::Ready(timer.poll(cx).is_pending())).await;
            timer
        });
        drop(gone);
        next.block_on(async {
            let is_pending = poll_fn(|cx| Poll::Ready(timer.poll(cx).is_pending())).await;
            assert!(is_pending);
            assert!(matches!(timer.0, Kind::Here(_)), "no thread keeps it");
            poll_fn(|cx| timer.poll(cx)).await.unwrap();
        });
        assert!(Instant::now() >= at);
    }

    // CONTRACT D13
    #[test]
    fn a_runtime_without_time_is_no_home_and_is_asked_once() {
        let timeless = Builder::new_current_thread().build().unwrap();
        let home = timeless.block_on(async { Home::here() });
        assert!(home.0.get().is_none());
        let is_known = || {
            let timeless_ids = TIMELESS.get().unwrap().lock();
            let is_this = |id: &&runtime::Id| **id == timeless.handle().id();
            timeless_ids.iter().filter(is_this).count()
        };
        assert_eq!(is_known(), 1);
        timeless.block_on(async {
            assert!(is_alone(&home.timer(soon())));
            assert!(is_alone(&home.timer(soon())));
        });
        assert_eq!(is_known(), 1);
    }

    // CONTRACT D13
    #[test]
    fn what_is_due_needs_no_runtime() {
        assert_eq!(wait_for(Home::here().timer(Instant::now())), Ok(()));
    }

    // CONTRACT D13
    #[test]
    fn a_thread_ends_with_its_timer() {
        let timer = Home::here().timer(Instant::now() + FAR);
        let Kind::Elsewhere(elsewhere) = &timer.0 else {
            panic!("there is no runtime");
        };
        let Keeper::Alone(thread) = &elsewhere.keeper else {
            panic!("nobody has shown it a runtime");
        };
        let shared = Arc::downgrade(&thread.shared);
        drop(timer);
        // The thread holds the other reference.
        while shared.strong_count() > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_timer_is_set_anew_wherever_it_runs() {
        let runtime = runtime();
        let home = runtime.block_on(async { Home::here() });
        let late = Instant::now() + FAR;
        for home in [&home, &Home::here()] {
            let mut elsewhere = home.timer(late);
            elsewhere.reset(soon());
            assert_eq!(wait_for(elsewhere), Ok(()));
        }
        runtime.block_on(async {
            let mut here = home.timer(late);
            let at = soon();
            here.reset(at);
            assert_eq!(here.at(), at);
            poll_fn(|cx| here.poll(cx)).await.unwrap();
        });
    }
}
