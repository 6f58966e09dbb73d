//! Holds the calls to what the crate promises.

use std::time::Duration;

use foreign::promises::Promises;
use foreign::tally::{Failed, Tally};
use grpc_resilience::GiveUp;

use crate::case::{Case, Ran};
use crate::client::Kind;

/// Compares each case with the case of the same proxy without ageing.
pub(crate) struct Judge {
    slow: Duration,
    plain: Vec<(&'static str, Kind, usize)>,
}

impl Judge {
    /// The most calls, of all, that may be slow beyond those without ageing.
    const SLOW_SHARE: f64 = 0.000_1;
    /// The least successful calls a second, as a share of those of a loop that gets its calls
    /// through.
    const RATE: f64 = 0.9;
    /// The most calls that such a loop fails, of all. One that repeats only UNAVAILABLE fails up to
    /// three of four where connections end often, and saves the time that these calls would take.
    const FAILED_SHARE: f64 = 0.01;

    pub(crate) fn new(slow: Duration) -> Self {
        Self {
            slow,
            plain: Vec::new(),
        }
    }

    pub(crate) fn check(&mut self, case: &Case, ran: &Ran, promises: &mut Promises) {
        for (client, tally) in &ran.tallies {
            let name = format!("{}, {client}", case.name);
            if !client.is_ours() {
                continue;
            }
            let twice = ran.begun.twice(tally);
            promises.check(twice.is_empty(), format!("{name}: begun twice: {twice:?}"));
            let unseen = ran.begun.unseen(tally);
            promises.check(
                unseen.is_empty(),
                format!("{name}: no beginning: {unseen:?}"),
            );
            failures(&name, *client, tally, promises);
            self.slow_calls(&name, case, *client, tally, promises);
            if !case.is_plain() {
                rates(&name, *client, ran, promises);
            }
        }
    }

    fn slow_calls(
        &mut self,
        name: &str,
        case: &Case,
        client: Kind,
        tally: &Tally,
        promises: &mut Promises,
    ) {
        let slow = tally.over(self.slow);
        if case.is_plain() {
            self.plain.push((case.proxy, client, slow));
            return;
        }
        let found = self
            .plain
            .iter()
            .find(|it| (it.0, it.1) == (case.proxy, client));
        // `--only` may leave out the case without ageing.
        let plain = found.map_or(0, |it| it.2);
        #[expect(clippy::cast_precision_loss, reason = "counts of calls made here")]
        let holds = slow as f64 <= plain as f64 + tally.calls() as f64 * Self::SLOW_SHARE;
        let calls = tally.calls();
        promises.measure(
            holds,
            format!("{name}: {slow} of {calls} calls were slow, {plain} without ageing"),
        );
    }
}

fn failures(name: &str, client: Kind, tally: &Tally, promises: &mut Promises) {
    let failed = tally.failed().count();
    let unexcused = tally.failed().filter(|it| !excused(client, it.1)).count();
    if failed > 0 {
        #[expect(clippy::cast_precision_loss, reason = "counts of calls made here")]
        let share = failed as f64 / tally.calls() as f64;
        println!(
            "  {name}: {failed} of {} calls failed, {:.3} %",
            tally.calls(),
            share * 100.0
        );
    }
    promises.check(
        unexcused == 0,
        format!("{name}: {unexcused} calls failed that may not"),
    );
}

/// CONTRACT I4b: over tonic's channel, a call of unknown kind may have been sent if a GOAWAY ended
/// it before the transport read its body.
fn excused(client: Kind, failure: &Failed) -> bool {
    client == Kind::Bare
        && failure.gave_up(GiveUp::NotIdempotent)
        && failure.reason.as_deref() == Some("go_away")
        && failure.reached
}

fn rates(name: &str, client: Kind, ran: &Ran, promises: &mut Promises) {
    let (theirs, all) = ratios(ran, client, Kind::HandLoop);
    let (eager, eager_all) = ratios(ran, client, Kind::EagerLoop);
    println!(
        "  {name}: successful calls a second, {theirs:.2} of the loop's, {eager:.2} of the eager one's"
    );
    let (share, all, which) = if gets_through(ran) {
        (theirs, all, "loop")
    } else {
        (eager, eager_all, "eager loop")
    };
    promises.measure(
        share >= Judge::RATE,
        format!("{name}: {share:.2} of the {which}'s successful calls a second: {all:.2?}"),
    );
}

/// Whether the loop that repeats only UNAVAILABLE fails few of its calls.
#[expect(clippy::cast_precision_loss, reason = "counts of calls made here")]
fn gets_through(ran: &Ran) -> bool {
    let found = ran.tallies.iter().find(|it| it.0 == Kind::HandLoop);
    found.is_some_and(|(_, tally)| {
        tally.failed().count() as f64 <= tally.calls() as f64 * Judge::FAILED_SHARE
    })
}

/// The median of the ratios turn by turn, and all of them.
fn ratios(ran: &Ran, client: Kind, other: Kind) -> (f64, Vec<f64>) {
    let of = |kind| {
        let found = ran.rates.iter().find(|it| it.0 == kind);
        found.map(|it| it.1.as_slice()).unwrap_or_default()
    };
    let pairs = of(client).iter().zip(of(other));
    let mut ratios: Vec<_> = pairs.map(|(ours, theirs)| ours / theirs).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied();
    (median.unwrap_or(f64::NAN), ratios)
}
