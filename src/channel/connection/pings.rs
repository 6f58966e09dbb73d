use std::task::{Context, Poll};

use h2::{Ping, PingPong};
use tokio::time::Instant;

use super::bdp::Estimate;
use super::facts::Facts;
use super::keepalive::{Heard, Keepalive, Pinger, Step};

/// The PINGs of a connection. h2 has one under way at a time, which the keepalive and the estimate
/// of the window share: the answer to one is an answer to both.
pub(super) struct Pings {
    h2: PingPong,
    keepalive: Option<Pinger>,
    estimate: Option<Estimate>,
    is_under_way: bool,
}

impl Pings {
    pub(super) fn new(
        pings: PingPong,
        keepalive: Option<Keepalive>,
        adaptive_window: Option<u32>,
        now: Instant,
    ) -> Self {
        Self {
            h2: pings,
            keepalive: keepalive.map(|settings| Pinger::new(settings, now)),
            estimate: adaptive_window.map(Estimate::new),
            is_under_way: false,
        }
    }

    /// What the keepalive does next; a PING is sent here.
    pub(super) fn keep_alive(&mut self, now: Instant, facts: &Facts, has_calls: bool) -> Step {
        let Some(pinger) = &mut self.keepalive else {
            return Step::Rest;
        };
        let heard = Heard {
            byte: facts.read_at(),
            news: facts.heard_at(),
        };
        let step = pinger.step(now, heard, has_calls);
        if step == Step::Ping {
            self.send();
        }
        step
    }

    /// Reads an answer, and sends a PING if the estimate wants one; the new window, if it grows.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, facts: &Facts) -> Option<u32> {
        let mut grown = None;
        if self.is_under_way
            && let Poll::Ready(Ok(_)) = self.h2.poll_pong(cx)
        {
            self.is_under_way = false;
            if let Some(pinger) = &mut self.keepalive {
                pinger.answered();
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
        grown
    }

    fn send(&mut self) {
        // A PING of the other one that is under way serves as well.
        self.is_under_way |= self.h2.send_ping(Ping::opaque()).is_ok();
    }
}
