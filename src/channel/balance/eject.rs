//! Carries out what [`Ejections`] decides.

use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::member::Member;
use crate::channel::connectivity::Connectivity;
use crate::channel::eject::{Back, Ejected, Ejections, Rules, Seen, Step};
use crate::channel::shared::Shared;
use crate::events;

/// The ejections of a channel.
#[derive(Debug)]
pub(super) struct Ejecting {
    ejections: Ejections,
    /// Something happened that a decision may follow from.
    is_suspect: bool,
    /// When the next look is not too soon.
    next: Option<Instant>,
}

/// How long the next look waits for each endpoint; a look takes a hundredth of it.
const PAUSE: Duration = Duration::from_micros(10);

impl Ejecting {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            ejections: Ejections::new(rules),
            is_suspect: false,
            next: None,
        }
    }

    pub(super) fn suspect(&mut self) {
        self.is_suspect = true;
    }

    /// An endpoint became ready, or is not any more.
    pub(super) fn changed(&mut self) {
        self.is_suspect |= self.ejections.is_active();
    }

    pub(super) fn forget(&mut self, number: u64) {
        self.ejections.forget(number);
    }

    /// Whether calls may go there.
    pub(super) fn lets_in(&self, number: u64) -> bool {
        self.ejections.lets_in(number)
    }

    /// Whether a call is to decide about it.
    pub(super) fn probes(&self, number: u64) -> bool {
        self.ejections.is_probing(number)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let suspect = self.next.filter(|_| self.is_suspect);
        self.ejections.due().into_iter().chain(suspect).min()
    }

    /// Decides, if it is time to; whether other endpoints are used from now on.
    pub(super) fn pass(
        &mut self,
        members: &FxHashMap<u64, Member>,
        is_health_ignored: bool,
        now: Instant,
        shared: &Shared,
    ) -> bool {
        let is_due = self.ejections.due().is_some_and(|due| due <= now);
        let is_soon = self.next.is_some_and(|next| now < next);
        if !is_due && (!self.is_suspect || is_soon) {
            return false;
        }
        self.is_suspect = false;
        let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
        self.next = Some(now + PAUSE.saturating_mul(count));
        let clock = nanos(now.saturating_duration_since(shared.epoch));
        let seen = members.iter().filter_map(|(number, member)| {
            let tally = member.subchannel.endpoint.load().tally()?;
            let is_ready = member.is_ready(is_health_ignored);
            let is_failing = member.seen.state == Connectivity::TransientFailure;
            Some(Seen {
                number: *number,
                is_ready,
                is_down: is_failing && !is_ready,
                was_ready: member.seen.made > 0,
                record: tally.record(clock),
                verdict: tally.verdict(),
            })
        });
        let seen: Vec<_> = seen.collect();
        let unit = || shared.rng.unit();
        let steps = self.ejections.pass(&seen, now, clock / 1_000_000, unit);
        for step in &steps {
            carry_out(step, members, clock);
        }
        !steps.is_empty()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn carry_out(step: &Step, members: &FxHashMap<u64, Member>, clock: u64) {
    let found = |number: &u64| {
        let subchannel = &members.get(number)?.subchannel;
        let load = subchannel.endpoint.load();
        Some((subchannel.name(), load, load.tally()?))
    };
    match step {
        Step::Ejected(ejected) => {
            if let Some((name, _, tally)) = found(&ejected.number) {
                tally.put_out(clock + nanos(ejected.lasts), ejected.times);
                events::endpoint_ejected(name, numbers(ejected), ejected.lasts);
            }
        }
        Step::OutAgain {
            number,
            times,
            lasts,
        } => {
            if let Some((name, _, tally)) = found(number) {
                tally.put_out(clock + nanos(*lasts), *times);
                events::endpoint_still_ejected(name, *times, *lasts);
            }
        }
        Step::Probing { number, was_out } => {
            if let Some((name, _, tally)) = found(number) {
                tally.probe(clock);
                events::endpoint_probed(name, *was_out);
            }
        }
        Step::Returned {
            number,
            why,
            was_out,
        } => {
            if let Some((name, load, tally)) = found(number) {
                tally.clear();
                load.begin_anew();
                events::endpoint_returned(name, *was_out, *why == Back::Probed);
            }
        }
        Step::Panic {
            is_on,
            ready,
            ejected,
            failing,
        } => events::ejection_panic(*is_on, *ready, *ejected, *failing),
    }
}

fn numbers(ejected: &Ejected) -> events::Numbers {
    events::Numbers {
        reason: ejected.why.name(),
        failures_in_a_row: ejected.record.in_a_row,
        calls: ejected.record.calls,
        failures: ejected.record.failures,
        better_rate: ejected.better_rate,
        times: ejected.times,
        ejected: ejected.out,
        most: ejected.most,
    }
}
