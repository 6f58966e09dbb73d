use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;
use tokio::runtime::{self, Handle, RuntimeFlavor};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::kernel::timer::{self, Home, NoRuntime, is_cut_off};

/// So many timers a thread keeps for its next calls: those of one that serves as many at once.
const KEPT: usize = 64;

thread_local! {
    static IDLE: RefCell<Idle> = const { RefCell::new(Idle { home: None, timers: Vec::new() }) };
}

/// The timer of one call, made once the call has to wait.
///
/// Timers are used again. To register one and to take it out takes a lock that all threads of a runtime
/// share, twice a call, and nearly no call lives to see its timer go off. So a timer stays registered, and
/// the next call on the thread takes it as it is: it goes off no later than that call ends, and if it goes
/// off earlier it is set anew, which is once for many calls if their timeouts are alike. Until then it may
/// hold the waker of the call before, and with it what a task takes that is over; a thread that goes on to
/// another runtime, or to none, holds the handle of the one before until it makes the next call.
///
/// A clock that a test has stopped moves by the timers that there are: one that was made while it stood
/// still does not stay.
///
/// Where the polling thread has no runtime, the timer is one of the stack's home, and is used once.
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
    /// The runtime of it: no other would let it go off.
    home: runtime::Id,
    stays: bool,
}

/// What a thread keeps: timers of one runtime, since nearly every thread only ever knows one.
struct Idle {
    home: Option<runtime::Id>,
    timers: Vec<Place>,
}

impl Timer {
    /// Wakes the task at this instant.
    #[inline]
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        at: Instant,
        home: Option<&Home>,
    ) -> Poll<Result<(), NoRuntime>> {
        if let Kind::Kept(place) = &mut self.0
            && !place.sleep.is_elapsed()
        {
            ready!(place.as_mut().project().sleep.poll(cx));
        }
        self.poll_anew(cx, at, home)
    }

    /// The same of one that is to be made, or set anew because it went off too early.
    #[inline(never)]
    fn poll_anew(
        &mut self,
        cx: &mut Context<'_>,
        at: Instant,
        home: Option<&Home>,
    ) -> Poll<Result<(), NoRuntime>> {
        let is_known = match &self.0 {
            Kind::None => false,
            Kind::Kept(place) => !is_cut_off(&place.sleep),
            Kind::Once(_) => true,
        };
        if !is_known {
            self.0 = Kind::at(at, home);
        }
        let place = match &mut self.0 {
            Kind::Kept(place) => place,
            Kind::Once(timer) => return timer.poll(cx),
            Kind::None => return Poll::Ready(Err(NoRuntime)),
        };
        let mut sleep = place.as_mut().project().sleep;
        loop {
            if !sleep.is_elapsed() {
                ready!(sleep.as_mut().poll(cx));
            }
            if sleep.deadline() >= at {
                return Poll::Ready(Ok(()));
            }
            sleep.as_mut().reset(at);
        }
    }
}

impl Kind {
    fn at(at: Instant, home: Option<&Home>) -> Self {
        match Handle::try_current() {
            Ok(runtime) => Self::Kept(Registered::until(at, &runtime)),
            Err(_) => home.map_or(Self::None, |home| Self::Once(home.timer(at))),
        }
    }
}

impl Registered {
    /// One that goes off at this instant or before it.
    fn until(at: Instant, runtime: &Handle) -> Place {
        let home = runtime.id();
        let Some(mut place) = Idle::take(home) else {
            let is_alone = runtime.runtime_flavor() != RuntimeFlavor::MultiThread;
            return Box::pin(Self {
                sleep: sleep_until(at),
                home,
                stays: !is_alone || clock_runs(),
            });
        };
        if place.sleep.deadline() > at {
            place.as_mut().project().sleep.reset(at);
        }
        place
    }
}

/// Whether it is seen to: a test may stop that of a runtime of one thread.
fn clock_runs() -> bool {
    Instant::now() != Instant::now()
}

impl Idle {
    /// A timer that is registered with this runtime.
    fn take(home: runtime::Id) -> Option<Place> {
        let mut strangers = Vec::new();
        let taken = Self::with(|idle| {
            if idle.home != Some(home) {
                idle.home = Some(home);
                strangers = mem::take(&mut idle.timers);
            }
            idle.timers.pop()
        });
        // Whatever hangs on them is dropped where it may do anything.
        drop(strangers);
        taken.flatten()
    }

    /// Takes it back, if there is room.
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

    /// `None` while the thread ends, or deep in itself.
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

    /// A test has stopped its clock.
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

    /// A timer that goes off then.
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

    /// How much too late it goes off.
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
                // Also where it would come too late.
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
