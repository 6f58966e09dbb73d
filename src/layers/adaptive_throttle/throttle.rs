use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use tokio::time::Instant;

use crate::classify::{self, Progress, Reason, Verdict};
use crate::error::{Error, GiveUp};
use crate::events::{self, Once};
use crate::grpc::Code;
use crate::kernel::rng::Rng;
use crate::kernel::sync::Mutex;
use crate::kernel::window::SlotNumber;

use super::counts::{Counts, Window};
use super::{AdaptiveThrottlePolicy, Fate, probability};

/// The counts that the clones of a service share, for reading. It is also a layer whose services
/// share these counts.
///
/// Created by [`AdaptiveThrottleLayer::shared`](super::AdaptiveThrottleLayer::shared).
#[derive(Clone)]
pub struct Throttle(Arc<Shared>);

struct Shared {
    policy: AdaptiveThrottlePolicy,
    rng: Rng,
    start: Instant,
    window: Mutex<Window>,
    below_wait: Once,
}

/// The counts of a throttle in its window.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ThrottleSnapshot {
    /// Calls with a known outcome, including throttled ones.
    pub requests: u64,
    /// Calls that the server accepted.
    pub accepts: u64,
    /// Calls that were throttled.
    pub shed: u64,
    /// The probability with which the next call is throttled.
    pub probability: f64,
}

/// An accept that the first frame of the body may prove wrong.
#[derive(Debug)]
pub(super) struct Accepted {
    throttle: Throttle,
    counted: SlotNumber,
}

impl Throttle {
    pub(super) fn new(policy: AdaptiveThrottlePolicy, rng: Rng) -> Self {
        Self(Arc::new(Shared {
            policy,
            rng,
            start: Instant::now(),
            window: Mutex::new(Window::new(policy.window)),
            below_wait: Once::default(),
        }))
    }

    /// The counts in the window, up to now.
    #[must_use]
    pub fn snapshot(&self) -> ThrottleSnapshot {
        let elapsed = self.elapsed();
        let total = self.0.window.lock().total(elapsed);
        ThrottleSnapshot {
            requests: total.requests,
            accepts: total.accepts,
            shed: total.shed,
            probability: self.probability(total),
        }
    }

    /// Warns once that the layer stands below wait-for-ready: waiting calls pass it with each dial.
    #[cold]
    pub(super) fn stands_below_wait(&self) {
        self.0.below_wait.say(events::throttle_below_wait);
    }

    /// Lets a new call pass, or throttles and counts it.
    pub(super) fn admit(&self) -> Result<(), Error> {
        let elapsed = self.elapsed();
        let mut window = self.0.window.lock();
        let before = window.total(elapsed);
        let probability = self.probability(before);
        // Draw no random number while the server accepts calls.
        if probability <= 0.0 || self.0.rng.unit() >= probability {
            return Ok(());
        }
        window.add(elapsed, Counts::SHED);
        drop(window);
        Err(held_back(before, self.0.policy.window))
    }

    /// Counts the outcome of a call that was let through, as far as the head shows it. `outcome`
    /// holds the code in the head, if any.
    pub(super) fn heard<R>(
        self,
        outcome: Result<(&Response<R>, Option<Code>), &Error>,
    ) -> Option<Accepted> {
        let fate = match outcome {
            // The request is sent again and then counts once.
            Err(error) if error.is_handed_back() => Fate::Unknown,
            Err(error) => self.0.policy.fate(&error.verdict()),
            Ok((response, Some(_))) => {
                let failure = classify::head(response.status(), response.headers());
                failure.map_or(Fate::Accepted, |(verdict, _)| self.0.policy.fate(&verdict))
            }
            Ok((_, None)) => {
                let counted = self.count(Counts::ACCEPTED);
                return Some(Accepted {
                    throttle: self,
                    counted,
                });
            }
        };
        match fate {
            Fate::Accepted => _ = self.count(Counts::ACCEPTED),
            Fate::Refused => _ = self.count(Counts::REFUSED),
            Fate::Unknown => {}
        }
        None
    }

    fn count(&self, counts: Counts) -> SlotNumber {
        let elapsed = self.elapsed();
        self.0.window.lock().add(elapsed, counts)
    }

    fn probability(&self, total: Counts) -> f64 {
        probability(total.requests, total.accepts, self.0.policy.multiplier)
    }

    fn elapsed(&self) -> Duration {
        self.0.start.elapsed()
    }
}

impl Accepted {
    /// The response ended with this failure before any message. It counts if the server sent it, in
    /// trailers, or if a retry layer below returned it.
    pub(super) fn failed(self, verdict: &Verdict) {
        let Throttle(shared) = &self.throttle;
        if verdict.progress == Progress::Answered && shared.policy.fate(verdict) == Fate::Refused {
            let mut window = shared.window.lock();
            window.take_back(self.counted, Counts::WRONG_ACCEPT);
        }
    }
}

fn held_back(before: Counts, window: Duration) -> Error {
    let Counts {
        requests, accepts, ..
    } = before;
    let message = format!(
        "throttled by the client: the server accepted {accepts} of {requests} calls in the last {window:?}"
    );
    Error::local(Code::ResourceExhausted, Reason::Throttled, message).given_up(GiveUp::Throttled, 0)
}

impl fmt::Display for ThrottleSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            accepts,
            shed,
            probability,
        } = self;
        let percent = probability * 100.0;
        write!(
            f,
            "requests {requests}, accepted {accepts}, throttled {shed}, reject probability \
             {percent:.0} %"
        )
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Throttle").field(&self.snapshot()).finish()
    }
}
