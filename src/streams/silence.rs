//! How long the server of an open stream is silent (CONTRACT S6).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::Instant;

use crate::kernel::sync::Mutex;
use crate::kernel::timer::{Home, NoRuntime, Timer};

/// Bounds the silence of an open stream: the time in which the caller waits for a message. The time
/// in which something that has come waits for the caller is no silence, because the server can send
/// the rest of a large message only after the caller has read what HTTP/2's window let through.
pub(super) struct Silence {
    limit: Duration,
    timer: Option<Timer>,
    /// The caller has asked for a message, so that the timer runs.
    is_measured: bool,
    stir: Arc<Stir>,
}

/// What the caller hears of the stream.
pub(super) enum Heard<T> {
    /// What the stream has, or that it is over.
    Next(Option<T>),
    /// The server was silent for this time.
    Nothing(Duration),
    NoRuntime,
}

/// Wakes the caller, and notes since when something waits for it.
#[derive(Default)]
struct Stir(Mutex<Stirred>);

#[derive(Default)]
struct Stirred {
    since: Option<Instant>,
    waker: Option<Waker>,
}

impl Silence {
    pub(super) fn longest(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            is_measured: false,
            stir: Arc::default(),
        }
    }

    /// With the same limit, for the next stream.
    pub(super) fn anew(&self) -> Self {
        Self::longest(self.limit)
    }

    /// Polls the stream, and ends the wait once the server was silent for too long.
    pub(super) fn listen<T>(
        &mut self,
        messages: Pin<&mut (impl Stream<Item = T> + ?Sized)>,
        home: &Home,
        cx: &mut Context<'_>,
    ) -> Poll<Heard<T>> {
        let unread_since = self.stir.begin(cx.waker());
        let waker = Waker::from(Arc::clone(&self.stir));
        if let Poll::Ready(next) = messages.poll_next(&mut Context::from_waker(&waker)) {
            self.is_measured = false;
            return Poll::Ready(Heard::Next(next));
        }
        let timer = self.timer(unread_since, home);
        Poll::Ready(match ready!(timer.poll(cx)) {
            Ok(()) => Heard::Nothing(self.limit),
            Err(NoRuntime) => Heard::NoRuntime,
        })
    }

    /// The timer of this wait, without the time that something was unread.
    fn timer(&mut self, unread_since: Option<Instant>, home: &Home) -> &mut Timer {
        let is_measured = std::mem::replace(&mut self.is_measured, true);
        let timer = self
            .timer
            .get_or_insert_with(|| home.timer_after(self.limit));
        let now = Instant::now();
        let left = match unread_since {
            _ if !is_measured => self.limit,
            None => return timer,
            // The caller came too late to see how long the server was silent before this.
            Some(since) if timer.at() <= since => self.limit,
            Some(since) => timer.at() - since,
        };
        if let Some(at) = now.checked_add(left) {
            timer.reset(at);
        }
        timer
    }
}

impl Stir {
    /// The caller looks; since when something has waited for it.
    fn begin(&self, waker: &Waker) -> Option<Instant> {
        let mut stirred = self.0.lock();
        let kept = stirred.waker.as_ref();
        let before = if kept.is_some_and(|kept| kept.will_wake(waker)) {
            None
        } else {
            stirred.waker.replace(waker.clone())
        };
        let since = stirred.since.take();
        drop(stirred);
        // It may run any code.
        drop(before);
        since
    }
}

impl Wake for Stir {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waker = {
            let mut stirred = self.0.lock();
            stirred.since.get_or_insert_with(Instant::now);
            stirred.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    /// A stream of messages, before which parts come that are none: zeros.
    struct Parts(UnboundedReceiver<u8>);

    impl Stream for Parts {
        type Item = u8;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u8>> {
            loop {
                match ready!(self.0.poll_recv(cx)) {
                    Some(0) => {}
                    message => return Poll::Ready(message),
                }
            }
        }
    }

    struct Caller {
        sender: UnboundedSender<u8>,
        parts: Parts,
        silence: Silence,
        home: Home,
    }

    impl Caller {
        fn new() -> Self {
            let (sender, receiver) = unbounded_channel();
            Self {
                sender,
                parts: Parts(receiver),
                silence: Silence::longest(LIMIT),
                home: Home::here(),
            }
        }

        /// What the caller hears if it looks once; `None` if the server was silent.
        fn looks(&mut self) -> Poll<Option<u8>> {
            let mut cx = Context::from_waker(Waker::noop());
            let parts = Pin::new(&mut self.parts);
            match self.silence.listen(parts, &self.home, &mut cx) {
                Poll::Ready(Heard::Next(message)) => Poll::Ready(message),
                Poll::Ready(Heard::Nothing(_)) => Poll::Ready(None),
                Poll::Ready(Heard::NoRuntime) => panic!("there is a runtime"),
                Poll::Pending => Poll::Pending,
            }
        }

        async fn looks_after(&mut self, millis: u64) -> Poll<Option<u8>> {
            advance(Duration::from_millis(millis)).await;
            self.looks()
        }
    }

    // CONTRACT S6
    #[tokio::test(start_paused = true)]
    async fn a_part_of_a_message_that_the_caller_looks_at_is_no_message() {
        let mut caller = Caller::new();
        assert_eq!(caller.looks(), Poll::Pending);
        for _ in 0..4 {
            advance(LIMIT / 5).await;
            caller.sender.send(0).unwrap();
            assert_eq!(caller.looks(), Poll::Pending);
        }
        assert_eq!(caller.looks_after(199).await, Poll::Pending);
        assert_eq!(caller.looks_after(2).await, Poll::Ready(None));
    }

    // CONTRACT S6
    #[tokio::test(start_paused = true)]
    async fn while_a_part_of_a_message_is_unread_no_time_passes() {
        let mut caller = Caller::new();
        assert_eq!(caller.looks(), Poll::Pending);
        advance(LIMIT / 5).await;
        caller.sender.send(0).unwrap();
        assert_eq!(caller.looks_after(7_000).await, Poll::Pending);
        assert_eq!(caller.looks_after(799).await, Poll::Pending);
        assert_eq!(caller.looks_after(2).await, Poll::Ready(None));
    }

    // CONTRACT S6
    #[tokio::test(start_paused = true)]
    async fn what_has_come_when_the_caller_is_back_is_no_silence_however_late_it_came() {
        let mut caller = Caller::new();
        assert_eq!(caller.looks(), Poll::Pending);
        advance(3 * LIMIT).await;
        caller.sender.send(0).unwrap();
        assert_eq!(caller.looks_after(2_000).await, Poll::Pending);
        assert_eq!(caller.looks_after(999).await, Poll::Pending);
        assert_eq!(caller.looks_after(2).await, Poll::Ready(None));
    }

    // CONTRACT S6
    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_silent_whether_or_not_the_caller_looks() {
        let mut caller = Caller::new();
        assert_eq!(caller.looks(), Poll::Pending);
        assert_eq!(caller.looks_after(7_000).await, Poll::Ready(None));
    }

    // CONTRACT S6
    #[tokio::test(start_paused = true)]
    async fn the_time_begins_at_the_first_look_after_a_message() {
        let mut caller = Caller::new();
        for message in 1..4 {
            caller.sender.send(message).unwrap();
            assert_eq!(caller.looks_after(7_000).await, Poll::Ready(Some(message)));
            assert_eq!(caller.looks_after(7_000).await, Poll::Pending);
            assert_eq!(caller.looks_after(900).await, Poll::Pending);
        }
        assert_eq!(caller.looks_after(101).await, Poll::Ready(None));
    }
}
