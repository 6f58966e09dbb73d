use std::time::Duration;

use tokio::time::Instant;

use crate::channel::connectivity::Connectivity;

/// Connects to the first address that can be reached, as a pure state machine (CONTRACT L6).
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// All addresses, by number, in the order in which they are tried.
    order: Vec<u64>,
    /// The one that is ready.
    used: Option<u64>,
    /// Those that were tried in this pass, the latest last.
    tried: Vec<Try>,
    /// A whole pass has failed since the last connection: `TRANSIENT_FAILURE` until the next one
    /// (gRFC A62).
    is_failing: bool,
    /// The connection was closed because no call came; the next call wants another one.
    is_at_rest: bool,
}

#[derive(Clone, Copy, Debug)]
struct Try {
    number: u64,
    /// When its dial begins; after a backoff that is later than the try.
    begins: Instant,
}

/// What is seen of one address.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is seen apart from the others"
)]
pub(super) struct Seen {
    pub(super) is_ready: bool,
    /// A dial is under way or planned.
    pub(super) is_dialling: bool,
    /// It has a connection, healthy or not.
    pub(super) is_connected: bool,
    /// Its last connection was closed because no call came.
    pub(super) is_at_rest: bool,
}

/// What a pass acts on.
pub(super) trait Hands {
    fn seen(&self, number: u64) -> Seen;

    /// Dials this address; when that begins.
    fn dial(&mut self, number: u64) -> Instant;

    /// Ends what was begun with this address; that is no failure.
    fn stand_by(&mut self, number: u64);
}

/// How long the next address waits for an answer of the one before it (RFC 8305's connection
/// attempt delay).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

impl Pass {
    /// These are the addresses now. One that is used stays so wherever it stands.
    pub(super) fn replace(&mut self, order: Vec<u64>) {
        let is_new = |number: &u64| !self.order.contains(number);
        if order.iter().any(is_new) {
            // A new address is not to wait for the backoff of the others.
            self.tried.clear();
        }
        self.order = order;
    }

    /// A call wants a connection.
    pub(super) fn want(&mut self) {
        self.is_at_rest = false;
    }

    pub(super) fn used(&self) -> Option<u64> {
        self.used
    }

    pub(super) fn state(&self) -> Connectivity {
        if self.used.is_some() {
            Connectivity::Ready
        } else if self.is_failing {
            Connectivity::TransientFailure
        } else if self.is_at_rest {
            Connectivity::Idle
        } else {
            Connectivity::Connecting
        }
    }

    /// Something changed, or the time has come: does what follows. When to look again.
    pub(super) fn step(&mut self, now: Instant, hands: &mut impl Hands) -> Option<Instant> {
        let before = self.used.filter(|used| self.order.contains(used));
        let is_ready = |number: &u64| hands.seen(*number).is_ready;
        let used = before.filter(is_ready);
        let used = used.or_else(|| self.order.iter().copied().find(is_ready));
        self.used = used;
        if let Some(used) = used {
            self.settle(used, hands);
            return None;
        }
        if let Some(lost) = before {
            self.is_at_rest = hands.seen(lost).is_at_rest;
        }
        if self.is_at_rest {
            return None;
        }
        self.advance(now, hands)
    }

    /// This one gets all calls.
    fn settle(&mut self, used: u64, hands: &mut impl Hands) {
        self.is_failing = false;
        // After a loss the next pass begins at the top.
        self.tried.clear();
        for number in self.order.iter().filter(|number| **number != used) {
            let seen = hands.seen(*number);
            if seen.is_connected || seen.is_dialling {
                hands.stand_by(*number);
            }
        }
    }

    fn advance(&mut self, now: Instant, hands: &mut impl Hands) -> Option<Instant> {
        loop {
            let is_over = |it: &Try| !hands.seen(it.number).is_dialling;
            let latest = self.tried.last().filter(|it| !is_over(it));
            let is_tried = |number: u64| self.tried.iter().any(|it| it.number == number);
            let next = self.order.iter().copied().find(|it| !is_tried(*it));
            let number = match (next, latest) {
                (Some(_), Some(latest)) if now < latest.begins + ATTEMPT_DELAY => {
                    return Some(latest.begins + ATTEMPT_DELAY);
                }
                (Some(next), _) => next,
                (None, _) => {
                    if !self.tried.iter().all(is_over) {
                        return None;
                    }
                    // All have failed, or are not healthy: the next pass begins with the backoff
                    // of the first that has no connection.
                    self.is_failing = !self.order.is_empty();
                    let is_connected = |number: u64| hands.seen(number).is_connected;
                    self.tried.retain(|it| is_connected(it.number));
                    self.order.iter().copied().find(|it| !is_connected(*it))?
                }
            };
            let begins = hands.dial(number);
            self.tried.push(Try { number, begins });
        }
    }
}

#[cfg(test)]
#[path = "pass_tests.rs"]
mod tests;
