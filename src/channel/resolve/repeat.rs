use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::schedule::Schedule;
use super::{Resolution, ResolveError, ResolvedAddress, Resolver};
use crate::kernel::rng::Rng;

/// How long an answer may take before calls are told that there is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a lookup found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) addresses: Vec<ResolvedAddress>,
    /// How long they count as fresh.
    pub(super) ttl: Duration,
}

pub(super) type Asked<A> = Pin<Box<dyn Future<Output = A> + Send>>;

/// A question that has to be asked again and again, because nothing tells of a change.
pub(super) trait Lookup: Send + 'static {
    type Answer;

    /// The name that is looked up, for errors.
    fn name(&self) -> &str;

    /// Asks. Dropping the future ends the question.
    fn ask(&self) -> Asked<Self::Answer>;

    /// What the answer means. Called once for each answer, in their order.
    fn read(&mut self, answer: Self::Answer) -> Result<Found, ResolveError>;
}

/// Repeats a lookup by its [`Schedule`].
pub(super) struct Repeat<L: Lookup> {
    lookup: L,
    schedule: Schedule,
    rng: Rng,
    state: State<L::Answer>,
    /// [`Resolver::resolve_again`] was called since the last question.
    is_wanted: bool,
    waker: Option<Waker>,
}

enum State<A> {
    Due,
    Asking {
        answer: Asked<A>,
        /// `None` once the channel was told that there is no answer yet. The question stays: an
        /// answer that comes late is as good, and the system's resolver can't be stopped.
        patience: Option<Pin<Box<Sleep>>>,
    },
    Waiting {
        until: Pin<Box<Sleep>>,
        after_failure: bool,
    },
}

impl<L: Lookup> Repeat<L> {
    pub(super) fn new(lookup: L, min_ttl: Duration) -> Self {
        Self {
            lookup,
            schedule: Schedule::new(min_ttl),
            rng: Rng::default(),
            state: State::Due,
            is_wanted: false,
            waker: None,
        }
    }

    fn answered(&mut self, answer: L::Answer) -> Result<Resolution, ResolveError> {
        let found = self.lookup.read(answer);
        let unit = self.rng.unit();
        let delay = match &found {
            Ok(found) => self.schedule.after_answer(found.ttl, unit),
            Err(error) if error.is_authoritative() => self.schedule.after_no_address(unit),
            Err(_) => self.schedule.after_failure(unit),
        };
        self.state = State::Waiting {
            until: Box::pin(sleep(delay)),
            after_failure: found.is_err(),
        };
        found.map(|found| Resolution::new(found.addresses))
    }

    fn is_late(&self) -> ResolveError {
        ResolveError::new(self.lookup.name(), format!("no answer within {PATIENCE:?}"))
    }
}

impl<L> Resolver for Repeat<L>
where
    L: Lookup,
    L::Answer: 'static,
{
    fn poll_resolution(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Resolution, ResolveError>>> {
        loop {
            match &mut self.state {
                State::Due => {
                    self.is_wanted = false;
                    self.state = State::Asking {
                        answer: self.lookup.ask(),
                        patience: Some(Box::pin(sleep(PATIENCE))),
                    };
                }
                State::Asking { answer, patience } => {
                    if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                        return Poll::Ready(Some(self.answered(answer)));
                    }
                    if let Some(sleep) = patience
                        && sleep.as_mut().poll(cx).is_ready()
                    {
                        *patience = None;
                        return Poll::Ready(Some(Err(self.is_late())));
                    }
                    break;
                }
                State::Waiting {
                    until,
                    after_failure,
                } => {
                    // A failing server is not asked more often because connections fail too: its
                    // backoff stands.
                    let is_due = self.is_wanted && !*after_failure;
                    if !is_due && until.as_mut().poll(cx).is_pending() {
                        break;
                    }
                    self.state = State::Due;
                }
            }
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn resolve_again(&mut self) {
        self.is_wanted = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
#[path = "repeat_tests.rs"]
mod tests;
