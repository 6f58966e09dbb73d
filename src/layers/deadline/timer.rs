use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;
use tokio::runtime::{self, Handle, RuntimeFlavor};
use tokio::time::{Instant, Sleep};

use crate::kernel::timer::{self, CutOff, Home, NoRuntime};

/// Timers that a thread keeps for its next calls: enough for a thread with 64 calls at once.
const KEPT: usize = 64;

thread_local! {
    static IDLE: RefCell<Idle> = const { RefCell::new(Idle { home: None, timers: Vec::new() }) };
}

/// The timer of one call, created once the call has to wait.
///
/// Timers are reused. Registering and deregistering a timer take a lock that all threads of a
/// runtime share, twice a call, and nearly every call ends before its timer fires. So a timer
/// stays registered, and the next call on the thread takes it as it is. It fires no later than that
/// call's deadline. If it fires earlier it is reset, once for many calls if their timeouts are
/// alike. Until then it may hold the waker of the previous call, and with it the memory of a
/// finished task; a thread that moves to another runtime, or to none, holds the handle of the
/// previous runtime until it makes the next call.
///
/// A paused clock advances to registered timers: a timer created while the clock was paused is not
/// kept.
///
/// If the polling thread has no runtime, the timer comes from the stack's home and is used once.
#[derive(Default)]
pub(super) struct Timer(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    None,
    Kept(Place),
    Once(timer::Timer),
}

type Place = Pin<Box<Registered>>;

#[pin_project]
struct Registered {
    #[pin]
    sleep: Sleep,
    /// The runtime of the timer; the timer fires on no other.
    home: runtime::Id,
    stays: bool,
}

/// A thread's kept timers. All belong to one runtime, since most threads only ever use one.
struct Idle {
    home: Option<runtime::Id>,
    timers: Vec<Place>,
}

impl Timer {
    /// Ready at `at`; wakes the task then.
    #[inline]
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        at: Instant,
        home: Option<&Home>,
    ) -> Poll<Result<(), NoRuntime>> {
        if let Kind::Kept(place) = &mut self.0
            && !place.sleep.is_elapsed()
            && let Err(CutOff) = ready!(timer::poll(place.as_mut().project().sleep, cx))
        {
            self.0 = Kind::None;
        }
        self.poll_anew(cx, at, home)
    }

    /// Slow path of [`poll`](Self::poll): the timer must be created, or reset after it fired early.
    #[inline(never)]
    fn poll_anew(
        &mut self,
        cx: &mut Context<'_>,
        at: Instant,
        home: Option<&Home>,
    ) -> Poll<Result<(), NoRuntime>> {
        if !matches!(self.0, Kind::Once(_)) {
            // The runtime of the kept timer may be over, and so may the current thread's.
            for _ in 0..2 {
                if matches!(self.0, Kind::None) {
                    self.0 = Kind::at(at, home);
                }
                let Kind::Kept(place) = &mut self.0 else {
                    break;
                };
                match ready!(place.as_mut().poll_until(cx, at)) {
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(CutOff) => self.0 = Kind::None,
                }
            }
            if let (Kind::None, Some(_)) = (&self.0, home) {
                self.0 = Kind::Once(timer::Timer::alone(at));
            }
        }
        match &mut self.0 {
            Kind::Once(timer) => timer.poll(cx),
            _ => Poll::Ready(Err(NoRuntime)),
        }
    }
}

impl Kind {
    fn at(at: Instant, home: Option<&Home>) -> Self {
        let kept = match Handle::try_current() {
            Ok(runtime) => Registered::until(at, &runtime).map(Self::Kept),
            Err(_) => None,
        };
        kept.unwrap_or_else(|| home.map_or(Self::None, |home| Self::Once(home.timer(at))))
    }
}

impl Registered {
    /// A timer that fires at `at` or earlier; `None` if the runtime has no timers.
    fn until(at: Instant, runtime: &Handle) -> Option<Place> {
        let home = runtime.id();
        let Some(mut place) = Idle::take(home) else {
            let is_alone = runtime.runtime_flavor() != RuntimeFlavor::MultiThread;
            return Some(Box::pin(Self {
                sleep: timer::sleep_here(at, runtime)?,
                home,
                stays: !is_alone || clock_runs(),
            }));
        };
        if place.sleep.deadline() > at {
            place.as_mut().project().sleep.reset(at);
        }
        Some(place)
    }

    /// Ready once it fires at `at`. A timer that fires earlier is reset.
    fn poll_until(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        at: Instant,
    ) -> Poll<Result<(), CutOff>> {
        let mut sleep = self.project().sleep;
        loop {
            ready!(timer::poll(sleep.as_mut(), cx))?;
            if sleep.deadline() >= at {
                return Poll::Ready(Ok(()));
            }
            sleep.as_mut().reset(at);
        }
    }
}

/// Whether the clock runs. A test may pause the clock of a current-thread runtime.
fn clock_runs() -> bool {
    Instant::now() != Instant::now()
}

impl Idle {
    /// Takes a timer that is registered with this runtime.
    fn take(home: runtime::Id) -> Option<Place> {
        let mut strangers = Vec::new();
        let taken = Self::with(|idle| {
            if idle.home != Some(home) {
                idle.home = Some(home);
                strangers = mem::take(&mut idle.timers);
            }
            idle.timers.pop()
        });
        // Dropping a timer drops its waker, which may run any code: do it outside the borrow.
        drop(strangers);
        taken.flatten()
    }

    /// Puts the timer back if there is room.
    fn keep(place: Place) {
        if !place.stays || place.sleep.is_elapsed() {
            return;
        }
        let home = Some(place.home);
        let mut place = Some(place);
        Self::with(|idle| {
            if idle.home == home && idle.timers.len() < KEPT {
                idle.timers.extend(place.take());
            }
        });
    }

    /// `None` during thread shutdown, and in a nested call.
    fn with<T>(change: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let changed =
            IDLE.try_with(|idle| idle.try_borrow_mut().ok().map(|mut idle| change(&mut idle)));
        changed.ok().flatten()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Kind::Kept(place) = mem::take(&mut self.0) {
            Idle::keep(place);
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = match &self.0 {
            Kind::None => None,
            Kind::Kept(timer) => Some(timer.sleep.deadline()),
            Kind::Once(timer) => return timer.fmt(f),
        };
        f.debug_tuple("Timer").field(&at).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A runtime with a paused clock.
    fn stopped() -> Runtime {
        let mut builder = Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    }

    fn of_one_thread() -> Runtime {
        let mut builder = Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    }

    fn of_several() -> Runtime {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).enable_time().build().unwrap()
    }

    /// A timer that was polled once and fires after `wait`.
    async fn waiting(wait: Duration) -> Timer {
        let at = Instant::now() + wait;
        let mut timer = Timer::default();
        poll_fn(|cx| {
            assert!(timer.poll(cx, at, None).is_pending());
            Poll::Ready(())
        })
        .await;
        timer
    }

    /// How much too late a timer fires.
    async fn lag(wait: Duration) -> Duration {
        let at = Instant::now() + wait;
        let mut timer = Timer::default();
        poll_fn(|cx| timer.poll(cx, at, None)).await.unwrap();
        Instant::now().saturating_duration_since(at)
    }

    fn kept() -> usize {
        IDLE.with_borrow(|idle| idle.timers.len())
    }

    #[test]
    fn a_timer_stays_registered_and_the_next_call_has_it() {
        for runtime in [of_one_thread(), of_several()] {
            runtime.block_on(async {
                drop(waiting(5 * SECOND).await);
                assert_eq!(kept(), 1);
                let early = waiting(9 * SECOND).await;
                assert_eq!(kept(), 0);
                let Kind::Kept(place) = &early.0 else {
                    panic!("it is one of this runtime");
                };
                let first = place.sleep.deadline();
                assert!(first < Instant::now() + 6 * SECOND, "as it was");
                drop(early);
                // Also where its own deadline would be too late.
                assert!(lag(SECOND / 100).await < SECOND);
                assert_eq!(kept(), 0, "what has gone off is taken out");
                drop(waiting(SECOND / 5).await);
                assert!(
                    lag(SECOND / 2).await < SECOND,
                    "it went off early, and was set anew"
                );
            });
        }
    }

    #[test]
    fn a_clock_that_stands_still_sees_no_timer_of_a_call_that_is_over() {
        stopped().block_on(async {
            drop(waiting(SECOND).await);
            assert_eq!(kept(), 0);
            let start = Instant::now();
            assert_eq!(lag(5 * SECOND).await, Duration::ZERO);
            assert_eq!(start.elapsed(), 5 * SECOND, "the clock has gone once");
        });
    }

    #[test]
    fn a_thread_keeps_so_many_and_no_more() {
        for (runtime, expected) in [
            (stopped(), 0),
            (of_one_thread(), KEPT),
            (of_several(), KEPT),
        ] {
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
        for (one, other) in [
            (of_several(), of_several()),
            (of_one_thread(), of_one_thread()),
        ] {
            one.block_on(async { drop(waiting(SECOND).await) });
            assert_eq!(kept(), 1);
            let late = other.block_on(async {
                let late = waiting(SECOND).await;
                assert_eq!(kept(), 0, "those of the other are let go");
                late
            });
            one.block_on(async { drop(waiting(SECOND).await) });
            drop(late);
            assert_eq!(kept(), 1, "its runtime is not at home here any more");
            drop(one);
            assert!(other.block_on(lag(SECOND / 100)) < SECOND);
            other.block_on(async { drop(waiting(SECOND).await) });
            drop(other);
            assert_eq!(stopped().block_on(lag(SECOND)), Duration::ZERO);
        }
    }

    // CONTRACT D13: a timer that fires too early when its runtime is over can't be reset there
    #[test]
    fn a_timer_whose_runtime_is_over_goes_off_no_earlier() {
        let next = of_several();
        let home = next.block_on(async { Home::here() });
        for first in [SECOND / 100, SECOND] {
            let gone = of_several();
            let left = gone.handle().clone();
            let at = Instant::now() + SECOND / 5;
            let mut timer = gone.block_on(async {
                let timer = waiting(first).await;
                tokio::time::sleep(SECOND / 50).await;
                timer
            });
            drop(gone);
            // The call ends later than the previous one, whose timer it reuses.
            for is_left in [true, false] {
                let _entered = is_left.then(|| left.enter());
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let polled = timer.poll(&mut cx, at, Some(&home));
                assert!(polled.is_pending() || Instant::now() >= at, "{first:?}");
            }
            next.block_on(poll_fn(|cx| timer.poll(cx, at, Some(&home))))
                .unwrap();
            assert!(Instant::now() >= at, "{first:?}");
        }
    }

    #[test]
    fn a_timer_may_be_dropped_after_its_runtime_and_on_another_thread() {
        for runtime in [stopped(), of_one_thread(), of_several()] {
            let (one, other) =
                runtime.block_on(async { (waiting(SECOND).await, waiting(SECOND).await) });
            drop(runtime);
            drop(one);
            std::thread::spawn(move || drop(other)).join().unwrap();
        }
    }
}
