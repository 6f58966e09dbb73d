use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::runtime::{self, Handle};
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};

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
/// off earlier it is set anew, which is once for many calls.
#[derive(Default)]
pub(super) struct Timer(Option<Registered>);

/// A timer, and the runtime that it belongs to: no other would let it go off.
struct Registered {
    sleep: Pin<Box<Sleep>>,
    home: runtime::Id,
}

/// What a thread keeps, all of one runtime: nearly every thread only ever knows one.
struct Idle {
    home: Option<runtime::Id>,
    timers: Vec<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Wakes the task at this instant.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let Registered { sleep, .. } = self.0.get_or_insert_with(|| Registered::until(at));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

impl Registered {
    /// One that goes off at this instant or before it.
    fn until(at: Instant) -> Self {
        let home = Handle::current().id();
        let idle = IDLE.try_with(|idle| idle.borrow_mut().take(home));
        let Some(mut sleep) = idle.ok().flatten() else {
            let sleep = Box::pin(sleep_until(at));
            return Self { sleep, home };
        };
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        Self { sleep, home }
    }
}

impl Idle {
    fn take(&mut self, home: runtime::Id) -> Option<Pin<Box<Sleep>>> {
        if self.home != Some(home) {
            self.home = Some(home);
            self.timers = Vec::new();
        }
        self.timers.pop()
    }

    /// Whether there is a place for one of this runtime.
    fn has_room(&self, home: runtime::Id) -> bool {
        self.home == Some(home) && self.timers.len() < KEPT
    }
}

/// It is kept, but for one that has gone off, and so has to be registered again anyway.
impl Drop for Timer {
    fn drop(&mut self) {
        let Some(Registered { mut sleep, home }) = self.0.take() else {
            return;
        };
        // Without budget tokio would not look at the waker.
        if sleep.is_elapsed() || !has_budget_remaining() {
            return;
        }
        // Nothing to do while the thread ends: then it is not kept.
        let _ = IDLE.try_with(|idle| {
            let Ok(mut idle) = idle.try_borrow_mut() else {
                return;
            };
            if idle.has_room(home) {
                // The waker holds the task of the call, which may be over.
                let mut nobody = Context::from_waker(Waker::noop());
                if sleep.as_mut().poll(&mut nobody).is_pending() {
                    idle.timers.push(sleep);
                }
            }
        });
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0.as_ref().map(|timer| timer.sleep.deadline());
        f.debug_tuple("Timer").field(&at).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::task::Wake;
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};
    use tokio::task::coop::consume_budget;
    use tokio::time::advance;

    use super::*;

    fn seconds(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    fn paused() -> Runtime {
        let mut builder = Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    }

    /// Registers a timer, which is then kept.
    async fn keeps(at: Instant) {
        let mut timer = Timer::default();
        poll_fn(|cx| {
            assert!(timer.poll(cx, at).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    fn kept() -> usize {
        IDLE.with_borrow(|idle| idle.timers.len())
    }

    /// How long it takes to go off.
    async fn goes_off_after(wait: Duration) -> Duration {
        let start = Instant::now();
        let mut timer = Timer::default();
        poll_fn(|cx| timer.poll(cx, start + wait)).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_was_kept_goes_off_when_it_should() {
        let second = Duration::from_secs(1);
        for first in [1, 5, 10] {
            keeps(seconds(first)).await;
            assert_eq!(kept(), 1);
            advance(second / 2).await;
            assert_eq!(goes_off_after(5 * second).await, 5 * second, "{first}");
            assert_eq!(kept(), 0, "it was used, and has gone off");
        }
        keeps(seconds(1)).await;
        advance(2 * second).await;
        assert_eq!(goes_off_after(second).await, second, "it went off unused");
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_keeps_so_many_and_no_more() {
        let mut timers: Vec<_> = (0..KEPT + 9).map(|_| Timer::default()).collect();
        poll_fn(|cx| {
            for timer in &mut timers {
                assert!(timer.poll(cx, seconds(1)).is_pending());
            }
            Poll::Ready(())
        })
        .await;
        drop(timers);
        assert_eq!(kept(), KEPT);
    }

    #[test]
    fn a_timer_is_kept_for_its_own_runtime_only_whether_that_runs_or_is_over() {
        let second = Duration::from_secs(1);
        let (one, other) = (paused(), paused());
        one.block_on(keeps(seconds_of(&one)));
        // Nobody drives the first one: its timers would never go off.
        assert_eq!(other.block_on(goes_off_after(second)), second);
        other.block_on(keeps(seconds_of(&other)));
        assert_eq!(kept(), 1);
        drop(other);
        assert_eq!(one.block_on(goes_off_after(second)), second);
        one.block_on(keeps(seconds_of(&one)));
        drop(one);
        assert_eq!(paused().block_on(goes_off_after(second)), second);
    }

    fn seconds_of(runtime: &Runtime) -> Instant {
        runtime.block_on(async { seconds(5) })
    }

    #[test]
    fn a_timer_may_be_dropped_after_its_runtime_and_on_another_thread() {
        let runtime = paused();
        let mut timer = Timer::default();
        let at = seconds_of(&runtime);
        let polled = runtime.block_on(poll_fn(|cx| Poll::Ready(timer.poll(cx, at))));
        assert!(polled.is_pending());
        drop(runtime);
        std::thread::spawn(move || drop(timer)).join().unwrap();
        assert_eq!(kept(), 0);
    }

    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_is_kept_holds_no_task() {
        let task = Arc::new(Task);
        let waker = Waker::from(Arc::clone(&task));
        let mut timer = Timer::default();
        assert!(
            timer
                .poll(&mut Context::from_waker(&waker), seconds(1))
                .is_pending()
        );
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 2);
        drop(timer);
        assert_eq!((Arc::strong_count(&task), kept()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_without_budget_keeps_none() {
        keeps(seconds(1)).await;
        let mut timer = Timer::default();
        poll_fn(|cx| {
            assert!(timer.poll(cx, seconds(1)).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(kept(), 0);
        tokio::spawn(async move {
            while has_budget_remaining() {
                consume_budget().await;
            }
            drop(timer);
        })
        .await
        .unwrap();
        assert_eq!(kept(), 0);
    }
}
