use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::keepalive::Step;
use super::pings::Pings;
use super::shared::Connection;

/// What is to be told of a connection.
pub(crate) trait Watcher: Send + Sync + 'static {
    /// It is ready; [`over`](Self::over) follows.
    fn opened(&self);

    /// It takes no new call: a GOAWAY, a failed write, or no stream ids left. Once.
    fn leaving(&self, connection: &Arc<Connection>);

    /// It was leaving when its first response began.
    fn served_late(&self);

    /// It may be dead: it takes no call until it answers the PING that was sent just now.
    fn silent(&self, connection: &Arc<Connection>);

    /// It has answered, and takes calls again.
    fn answers(&self, connection: &Arc<Connection>);

    /// No call was on it for as long as it may be idle.
    fn idle(&self, connection: &Arc<Connection>, idle_for: Duration) -> Rest;

    /// It is over.
    fn over(&self, connection: &Arc<Connection>, end: Result<(), h2::Error>);
}

/// What becomes of an idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    Closed,
    /// It may be idle for this long in all.
    Until(Duration),
    Forever,
}

/// The task of a connection: it lives until the connection is over.
#[expect(
    clippy::struct_excessive_bools,
    reason = "any of them may hold beside any other"
)]
pub(super) struct Driver {
    connection: Arc<Connection>,
    watcher: Arc<dyn Watcher>,
    pings: Pings,
    idle: Option<Idle>,
    timer: Option<Pin<Box<Sleep>>>,
    is_leaving: bool,
    /// It is taken for dead, and its watcher was told so.
    is_silent: bool,
    /// It left before it served a call.
    is_unproven: bool,
    /// When a connection whose writes fail is given up, even if its read side says nothing.
    broken_until: Option<Instant>,
    /// It has let callers run that are likely to add to what is to be written.
    has_yielded: bool,
    is_over: bool,
}

/// How long the connection may be without calls. It is looked at four times in that time, so that
/// no call has to note its end.
struct Idle {
    max: Duration,
    calls: u32,
    had_calls: bool,
    since: Instant,
}

/// How long the last words of a peer may take after a write has failed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The connection is to be closed.
struct Over;

impl Driver {
    pub(super) fn new(
        connection: Arc<Connection>,
        watcher: Arc<dyn Watcher>,
        pings: Pings,
        max_idle: Option<Duration>,
    ) -> Self {
        let now = Instant::now();
        Self {
            connection,
            watcher,
            pings,
            idle: max_idle.map(|max| Idle {
                max,
                calls: 0,
                had_calls: false,
                since: now,
            }),
            timer: None,
            is_leaving: false,
            is_silent: false,
            is_unproven: false,
            broken_until: None,
            has_yielded: false,
            is_over: false,
        }
    }

    /// When to look again; `None` if nothing but the connection matters.
    fn next(&mut self, now: Instant) -> Result<Option<Instant>, Over> {
        let keepalive = self.keepalive(now)?;
        let broken = self.broken(now)?;
        let idle = self.idle(now);
        Ok([keepalive, broken, idle].into_iter().flatten().min())
    }

    fn keepalive(&mut self, now: Instant) -> Result<Option<Instant>, Over> {
        loop {
            match self.pings.keep_alive(now, &self.connection) {
                Step::Rest => return Ok(None),
                Step::Wait(until) => return Ok(Some(until)),
                Step::Ping => {}
                Step::Close => {
                    self.connection.facts.set_silent();
                    return Err(Over);
                }
            }
        }
    }

    fn broken(&mut self, now: Instant) -> Result<Option<Instant>, Over> {
        if !self.connection.facts.is_broken() {
            return Ok(None);
        }
        let until = *self.broken_until.get_or_insert(now + LAST_WORDS);
        if until <= now {
            Err(Over)
        } else {
            Ok(Some(until))
        }
    }

    fn idle(&mut self, now: Instant) -> Option<Instant> {
        let idle = self.idle.as_mut()?;
        let calls = self.connection.calls();
        let has_calls = self.connection.slots.in_use() > 0;
        // Calls may have ended any time since the last look: then the time begins now.
        if has_calls || idle.had_calls || calls != idle.calls {
            (idle.calls, idle.since) = (calls, now);
        }
        idle.had_calls = has_calls;
        if now < idle.since + idle.max {
            return Some(now + idle.max / 4);
        }
        match self.watcher.idle(&self.connection, idle.max) {
            Rest::Until(max) => {
                idle.max = max;
                Some(now + max / 4)
            }
            Rest::Closed | Rest::Forever => {
                self.idle = None;
                None
            }
        }
    }

    fn poll_pings(&mut self, cx: &mut Context<'_>) {
        let (window, is_answered) = self.pings.poll(cx, &self.connection);
        if let Some(window) = window {
            self.connection.grow(window);
        }
        if is_answered && self.is_silent {
            self.is_silent = false;
            self.connection.answers();
            self.watcher.answers(&self.connection);
        }
    }

    /// The connection takes no new call, or none for now.
    #[cold]
    fn closes(&mut self) {
        if self.connection.is_leaving() {
            self.leave();
        } else if !std::mem::replace(&mut self.is_silent, true) {
            self.pings.ask(Instant::now(), &self.connection);
            self.watcher.silent(&self.connection);
            // The answer is due sooner than anything else.
            self.timer = None;
        }
    }

    /// The connection takes no new call from now on, and its watcher is told so, once.
    fn leave(&mut self) {
        self.is_leaving = true;
        self.is_unproven = !self.connection.facts.has_served();
        self.connection.notice();
        self.watcher.leaving(&self.connection);
        self.connection.retire();
        // What is due is looked at anew.
        self.timer = None;
    }

    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        self.connection.cell.run_by(cx.waker());
        if self.yields() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(mut turn) = self.connection.cell.enter() else {
            // The holder polls it once more, or wakes this task when it leaves.
            return Poll::Pending;
        };
        if self.connection.poll(&mut turn).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(turn.take_end().unwrap_or(Ok(())))
    }

    /// A worker of tokio runs the task that the last one woke before all others that are ready. So
    /// the first of many answered callers that calls again would have its request written alone.
    fn yields(&mut self) -> bool {
        let batch = &self.connection.batch;
        if self.has_yielded {
            batch.expect_no_more();
        }
        self.has_yielded = batch.grows();
        self.has_yielded
    }

    fn end(&mut self, end: Result<(), h2::Error>) {
        self.is_over = true;
        if let Err(error) = &end {
            self.connection.complain(error);
        }
        self.connection.retire();
        self.connection.cell.close();
        self.watcher.over(&self.connection, end);
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let polled = this.poll_connection(cx);
        if this.is_unproven && this.connection.facts.has_served() {
            this.is_unproven = false;
            this.watcher.served_late();
        }
        if let Poll::Ready(end) = polled {
            this.end(end);
            return Poll::Ready(());
        }
        if this.connection.facts.is_cut() {
            this.end(Ok(()));
            return Poll::Ready(());
        }
        if !this.is_leaving && !this.connection.is_open() {
            this.closes();
        }
        this.poll_pings(cx);
        // A timer that goes off too early is set anew then, and not with each call.
        while this.timer.as_ref().is_none_or(|timer| timer.is_elapsed()) {
            let Ok(next) = this.next(Instant::now()) else {
                this.end(Ok(()));
                return Poll::Ready(());
            };
            this.timer = next.map(|next| Box::pin(sleep_until(next)));
            let Some(timer) = &mut this.timer else {
                break;
            };
            if timer.as_mut().poll(cx).is_pending() {
                // A PING may have been queued meanwhile.
                this.poll_pings(cx);
                break;
            }
        }
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.is_over {
            // The runtime ends, or the task was aborted.
            self.end(Ok(()));
        }
    }
}
