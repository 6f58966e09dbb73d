use std::task::{Context, Poll};

use h2::{Ping, PingPong};
use tokio::time::Instant;

use super::bdp::Estimate;
use super::keepalive::Step;
use super::shared::Connection;

/// The PINGs of a connection. h2 has one under way at a time, which the keepalive and the estimate
/// of the window share: the answer to one is an answer to both.
pub(super) struct Pings {
    h2: PingPong,
    estimate: Option<Estimate>,
    is_under_way: bool,
}

impl Pings {
    pub(super) fn new(pings: PingPong, adaptive_window: Option<u32>) -> Self {
        Self {
            h2: pings,
            estimate: adaptive_window.map(Estimate::new),
            is_under_way: false,
        }
    }

    /// What the keepalive does next; a PING is sent here.
    pub(super) fn keep_alive(&mut self, now: Instant, connection: &Connection) -> Step {
        let Some(pinger) = &connection.pinger else {
            return Step::Rest;
        };
        let has_calls = connection.slots.in_use() > 0 || connection.is_watched();
        let step = pinger.lock().step(now, connection.facts.heard(), has_calls);
        if step == Step::Ping {
            self.send();
        }
        step
    }

    /// Sends a PING at once, unless one is under way (CONTRACT C22).
    #[cold]
    pub(super) fn ask(&mut self, now: Instant, connection: &Connection) {
        let pinger = connection.pinger.as_ref();
        if pinger.is_some_and(|it| it.lock().ask(now)) {
            self.send();
        }
    }

    /// Reads an answer, and sends a PING if the estimate wants one; the new window, if it grows,
    /// and whether there was an answer.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        connection: &Connection,
    ) -> (Option<u32>, bool) {
        let (mut grown, mut is_answered) = (None, false);
        let facts = &connection.facts;
        if self.is_under_way
            && let Poll::Ready(Ok(_)) = self.h2.poll_pong(cx)
        {
            self.is_under_way = false;
            is_answered = true;
            if let Some(pinger) = &connection.pinger {
                pinger.lock().answered();
            }
            if let Some(estimate) = &mut self.estimate {
                grown = estimate.answered(facts.data(), Instant::now());
            }
        }
        let is_free = !self.is_under_way;
        if let Some(estimate) = &mut self.estimate
            && is_free
            && estimate.wants_ping(facts.data(), Instant::now())
        {
            self.send();
            // It registers for the answer.
            let _ = self.h2.poll_pong(cx);
        }
        (grown, is_answered)
    }

    fn send(&mut self) {
        // A PING of the other one that is under way serves as well.
        self.is_under_way |= self.h2.send_ping(Ping::opaque()).is_ok();
    }
}
