use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::runtime::{self, Handle, RuntimeFlavor};
use tokio::time::{Instant, Sleep, sleep_until};

/// So many timers a thread keeps for its next calls: those of one that serves as many at once.
const KEPT: usize = 64;

thread_local! {
    static IDLE: RefCell<Idle> = const { RefCell::new(Idle::NOTHING) };
}

/// The timer of one call, made once the call has to wait.
///
/// Timers are used again. To register one and to take it out takes a lock that all threads of a runtime
/// share, twice a call, and nearly no call lives to see its timer go off. So on a runtime of several
/// threads a timer stays registered, and the next call on the thread takes it as it is: it goes off no later
/// than that call ends, and if it goes off earlier it is set anew, which is once for many calls if their
/// timeouts are alike. Until then it may hold the waker of the call before, and with it what a task takes
/// that is over; a thread that is not the runtime's own holds the runtime's handle so.
///
/// On a runtime of one thread nobody is in the way, and a test may have stopped the clock, which moves by
/// the timers that there are: there no more than the memory is used again.
#[derive(Default)]
pub(super) struct Timer(Option<Taken>);

type Place = Pin<Box<Option<Sleep>>>;

/// A timer, and the runtime that it stays registered with: no other would let it go off.
struct Taken {
    place: Place,
    home: Option<runtime::Id>,
}

/// What a thread keeps.
struct Idle {
    /// The runtime of the registered ones: nearly every thread only ever knows one.
    home: Option<runtime::Id>,
    registered: Vec<Place>,
    empty: Vec<Place>,
}

impl Timer {
    /// Wakes the task at this instant.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let Taken { place, .. } = self.0.get_or_insert_with(|| Taken::until(at));
        let Some(mut sleep) = place.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let sleep = self.0.as_ref()?.place.as_ref().get_ref().as_ref()?;
        Some(sleep.deadline())
    }
}

impl Taken {
    /// One that goes off at this instant or before it.
    fn until(at: Instant) -> Self {
        let runtime = Handle::current();
        let is_shared = runtime.runtime_flavor() == RuntimeFlavor::MultiThread;
        let home = is_shared.then(|| runtime.id());
        let mut place = Idle::take(home).unwrap_or_default();
        match place.as_mut().as_pin_mut() {
            None => place.set(Some(sleep_until(at))),
            Some(sleep) if sleep.deadline() > at => sleep.reset(at),
            Some(_) => {}
        }
        Self { place, home }
    }
}

impl Idle {
    const NOTHING: Self = Self {
        home: None,
        registered: Vec::new(),
        empty: Vec::new(),
    };

    /// A timer that is registered with this runtime, or the memory for one.
    fn take(home: Option<runtime::Id>) -> Option<Place> {
        let mut strangers = Vec::new();
        let taken = Self::with(|idle| {
            if home.is_some() && idle.home != home {
                idle.home = home;
                strangers = mem::take(&mut idle.registered);
            }
            let registered = home.and_then(|_| idle.registered.pop());
            registered.or_else(|| idle.empty.pop())
        });
        // Whatever hangs on them is dropped where it may do anything.
        drop(strangers);
        taken.flatten()
    }

    /// Takes it back, if there is room.
    fn keep(mut place: Place, home: Option<runtime::Id>) {
        let is_registered = place.as_ref().get_ref().as_ref();
        let is_registered =
            is_registered.is_some_and(|sleep| home.is_some() && !sleep.is_elapsed());
        if !is_registered {
            place.set(None);
        }
        let mut place = Some(place);
        Self::with(|idle| {
            let (timers, is_theirs) = if is_registered {
                (&mut idle.registered, idle.home == home)
            } else {
                (&mut idle.empty, true)
            };
            if is_theirs && timers.len() < KEPT {
                timers.extend(place.take());
            }
        });
    }

    /// `None` while the thread ends, or deep in itself.
    fn with<T>(change: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let changed =
            IDLE.try_with(|idle| idle.try_borrow_mut().ok().map(|mut idle| change(&mut idle)));
        changed.ok().flatten()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(Taken { place, home }) = self.0.take() {
            Idle::keep(place, home);
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timer").field(&self.deadline()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn of_one_thread() -> Runtime {
        let mut builder = Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    }

    fn of_several() -> Runtime {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).enable_time().build().unwrap()
    }

    /// A timer that goes off then.
    async fn waiting(wait: Duration) -> Timer {
        let at = Instant::now() + wait;
        let mut timer = Timer::default();
        poll_fn(|cx| {
            assert!(timer.poll(cx, at).is_pending());
            Poll::Ready(())
        })
        .await;
        timer
    }

    /// How much too late it goes off.
    async fn lag(wait: Duration) -> Duration {
        let at = Instant::now() + wait;
        let mut timer = Timer::default();
        poll_fn(|cx| timer.poll(cx, at)).await;
        Instant::now().saturating_duration_since(at)
    }

    /// Registered ones, and empty places.
    fn kept() -> (usize, usize) {
        IDLE.with_borrow(|idle| (idle.registered.len(), idle.empty.len()))
    }

    #[test]
    fn on_several_threads_a_timer_stays_registered_and_the_next_call_has_it() {
        let runtime = of_several();
        runtime.block_on(async {
            drop(waiting(5 * SECOND).await);
            assert_eq!(kept(), (1, 0));
            let early = waiting(9 * SECOND).await;
            assert_eq!(kept(), (0, 0));
            let first = early.deadline().unwrap();
            assert!(first < Instant::now() + 6 * SECOND, "as it was");
            drop(early);
            // Also where it would come too late.
            assert!(lag(SECOND / 100).await < SECOND);
            assert_eq!(kept(), (0, 1), "what has gone off is taken out");
            drop(waiting(SECOND / 5).await);
            assert!(
                lag(SECOND / 2).await < SECOND,
                "it went off early, and was set anew"
            );
        });
    }

    #[test]
    fn on_one_thread_nothing_stays_registered_but_the_memory_is_used_again() {
        let runtime = of_one_thread();
        runtime.block_on(async {
            drop(waiting(SECOND).await);
            assert_eq!(kept(), (0, 1));
            let start = Instant::now();
            assert_eq!(lag(5 * SECOND).await, Duration::ZERO);
            assert_eq!(start.elapsed(), 5 * SECOND, "the clock has gone once");
            assert_eq!(kept(), (0, 1));
        });
    }

    #[test]
    fn a_thread_keeps_so_many_and_no_more() {
        for (runtime, expected) in [(of_one_thread(), (0, KEPT)), (of_several(), (KEPT, 0))] {
            runtime.block_on(async {
                let mut timers = Vec::new();
                for _ in 0..KEPT + 9 {
                    timers.push(waiting(SECOND).await);
                }
                drop(timers);
            });
            assert_eq!(kept(), expected);
        }
    }

    #[test]
    fn a_timer_is_kept_for_its_own_runtime_only_whether_that_runs_or_is_over() {
        let (one, other) = (of_several(), of_several());
        one.block_on(async { drop(waiting(SECOND).await) });
        assert_eq!(kept(), (1, 0));
        let late = other.block_on(async {
            let late = waiting(SECOND).await;
            assert_eq!(kept(), (0, 0), "those of the other are let go");
            late
        });
        one.block_on(async { drop(waiting(SECOND).await) });
        drop(late);
        assert_eq!(kept(), (1, 0), "its runtime is not at home here any more");
        drop(one);
        assert!(other.block_on(lag(SECOND / 100)) < SECOND);
        other.block_on(async { drop(waiting(SECOND).await) });
        drop(other);
        assert_eq!(of_one_thread().block_on(lag(SECOND)), Duration::ZERO);
    }

    #[test]
    fn a_timer_may_be_dropped_after_its_runtime_and_on_another_thread() {
        for runtime in [of_one_thread(), of_several()] {
            let (one, other) =
                runtime.block_on(async { (waiting(SECOND).await, waiting(SECOND).await) });
            drop(runtime);
            drop(one);
            std::thread::spawn(move || drop(other)).join().unwrap();
        }
    }
}
