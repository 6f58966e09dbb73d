//! The balancer: one task per channel, which turns addresses and connections into what calls pick
//! from.
//!
//! ```text
//! resolver -> latest set -> members -> board -> look -> endpoint -> connection -> slot
//!                            ^   changes of subchannels
//! ```
//!
//! **Three things change at three rates, and each is published where it changes.**
//! - The *ready endpoints* change when a server comes or goes. They are an immutable list on the
//!   [`Board`], behind one `ArcSwap`, and only the balancer writes it.
//! - The *connections of an endpoint*, with the second to fourth of CONTRACT C8, change when one is
//!   made, lost or closed by a GOAWAY. They are a list of their own in each endpoint
//!   ([`ReadyEndpoint`]), behind an `ArcSwap` too, and its subchannel writes it at once. The board
//!   stays as it is.
//! - *Slots and loads* change with every call. They are atomics in the connection and in the
//!   endpoint, and nothing is published for them.
//!
//! So a call loads the board, picks an endpoint by the atomics of its load, loads the endpoint's
//! connections, and takes a slot from the first that has one. A connection that was lost a moment
//! ago is no longer open, or no longer in the list: the call picks again, whatever the board still
//! shows. That is why the board may be late, and the balancer takes many changes together.
//!
//! **What a change costs.** A change of one endpoint is looked at alone: states are counted, not
//! collected. A new list costs a step for each ready endpoint, so after one the next waits for a
//! time in proportion to its length, unless no call could go, or the addresses changed. A thousand
//! endpoints that become ready one by one are so published in a few lists rather than a thousand.
//!
//! **Which endpoints are listed** is decided in [`members`]: those in READY that are not ejected.
//! One whose server is not healthy is not in READY; in a panic (CONTRACT L8) all that are connected
//! are.

mod eject;
mod leaving;
mod member;
mod members;
mod order;
mod pass;
mod publish;
mod tally;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::board::Board;
use super::pick::Connect;
use super::resolve::again::Again;
use super::resolve::latest::{Latest, ResolutionEvent, Step};
use super::resolve::{Resolution, ResolveError, Resolver};
use super::shared::Shared;
use crate::events;
use members::Members;
use publish::Publisher;

/// The task of a channel; it ends with the channel.
pub(super) struct Balancer {
    shared: Arc<Shared>,
    /// The target, for events.
    target: Arc<str>,
    /// `None` once no other answer follows.
    resolver: Option<Box<dyn Resolver>>,
    latest: Latest,
    again: Again,
    members: Members,
    publisher: Publisher,
    timer: Option<Pin<Box<Sleep>>>,
}

/// How many answers or timers are handled before other tasks of the runtime have their turn.
const ROUNDS: usize = 16;

impl Balancer {
    pub(super) fn new(
        shared: Arc<Shared>,
        board: Arc<Board>,
        target: Arc<str>,
        resolver: Box<dyn Resolver>,
        connect: Connect,
    ) -> Self {
        Self {
            members: Members::new(Arc::clone(&shared), connect),
            publisher: Publisher::new(board, Arc::clone(&shared.lines)),
            shared,
            target,
            resolver: Some(resolver),
            latest: Latest::default(),
            again: Again::default(),
            timer: None,
        }
    }

    /// Takes one answer of the resolver; `Pending` if there is none.
    fn poll_resolver(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let Some(resolver) = &mut self.resolver else {
            return Poll::Pending;
        };
        // Users write resolvers: a panic of one costs its later answers and nothing else.
        let polled = catch_unwind(AssertUnwindSafe(|| resolver.poll_resolution(cx)));
        let step = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Some(answer))) => self.latest.answered(now, answer),
            Ok(Poll::Ready(None)) => {
                self.resolver = None;
                self.latest.ended(now)
            }
            Err(_) => {
                self.resolver = None;
                let panicked = ResolveError::new(&*self.target, "the resolver panicked");
                self.latest.answered(now, Err(panicked))
            }
        };
        self.resolved(step, now);
        Poll::Ready(())
    }

    /// What the channel knows of its addresses has changed, or not.
    fn resolved(&mut self, step: Step, now: Instant) {
        match step.event {
            Some(ResolutionEvent::Failed) => {
                if let Some(error) = self.latest.error() {
                    events::resolution_failed(&self.target, &**error);
                }
            }
            Some(ResolutionEvent::Lapsed) => {
                if let Some(error) = self.latest.error() {
                    events::addresses_lapsed(&self.target, &**error);
                }
            }
            Some(ResolutionEvent::Recovered(down_for)) => {
                events::resolution_is_back(&self.target, down_for);
            }
            None => {}
        }
        if let Some(error) = self.latest.error() {
            // A waiting call names the latest reason (CONTRACT R19).
            self.publisher.fail(Arc::clone(error) as _);
        }
        if !step.is_change {
            return;
        }
        let none = Resolution::default();
        let set = self.latest.set();
        self.publisher.resolved(set.is_some());
        let diff = self.members.replace(set.unwrap_or(&none).addresses(), now);
        if !diff.is_empty() {
            let count = self.members.len();
            events::addresses_changed(&self.target, count, &diff.added, &diff.removed);
        }
    }

    /// Asks the resolver again if an address may be stale, and it was not asked too often; whether
    /// it was asked.
    fn ask_again(&mut self, is_stale: bool, now: Instant) -> bool {
        let is_due = if is_stale {
            self.again.want(now)
        } else {
            self.again.take(now)
        };
        let resolver = self.resolver.as_mut().filter(|_| is_due);
        let is_asked = resolver.is_some();
        if let Some(resolver) = resolver {
            let asked = catch_unwind(AssertUnwindSafe(|| resolver.resolve_again()));
            if asked.is_err() {
                self.resolver = None;
            }
        }
        is_asked
    }

    /// All that is due at this time; when to look again, if no change comes before.
    fn turn(&mut self, cx: &mut Context<'_>, now: Instant) -> Option<Instant> {
        if self.poll_resolver(cx, now).is_ready() {
            // Another answer may be there.
            return Some(now);
        }
        let changed = self.shared.changes.take(cx);
        for number in changed.endpoints {
            if let Some(change) = self.members.changed(number, now) {
                self.publisher.changed(change);
            }
        }
        if changed.is_suspect {
            self.members.suspect();
        }
        if changed.is_wanted {
            self.members.want();
        }
        let lapse = self.latest.pass(now);
        if lapse != Step::default() {
            self.resolved(lapse, now);
        }
        if self.ask_again(changed.is_stale, now) {
            return Some(now);
        }
        let connect = self.members.connect(now);
        let (has_left, leave) = self.members.pass(now);
        if has_left {
            self.publisher.left();
        }
        let is_panicking = self.members.look_at_health(&self.target);
        let (is_moved, eject) = self.members.eject(now);
        if is_panicking || is_moved {
            self.publisher.relist();
        }
        let publish = self.publisher.publish(&mut self.members, now);
        let again = self.again.due();
        let lapse = self.latest.lapses_at();
        [connect, leave, eject, publish, again, lapse]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether the time is now.
    fn poll_timer(&mut self, cx: &mut Context<'_>, due: Option<Instant>) -> Poll<()> {
        let Some(due) = due else {
            // A channel at rest holds no timer.
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }
}

impl Future for Balancer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        for _ in 0..ROUNDS {
            let now = Instant::now();
            let due = this.turn(cx, now);
            if due.is_none_or(|due| due > now) && this.poll_timer(cx, due).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.members.shut();
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod turn_tests;
