//! One follower is down.

use std::sync::Arc;
use std::time::Duration;

use foreign::Failure;
use foreign::load::Load;
use foreign::over::{Over, Sends};
use foreign::promises::Promises;
use foreign::table::Table;
use foreign::tally::Tally;

use crate::calls::{Bare, Ours, bare, declared, declared_by_hand, ours};
use crate::cluster::Cluster;
use crate::leadership::Leadership;

/// Of each client.
const CALLERS: u32 = 12;
/// Keeps the machine from being the limit: the windows differ by the time that calls wait.
const PAUSE: Duration = Duration::from_millis(25);
const UP: Duration = Duration::from_secs(6);
const DOWN: Duration = Duration::from_secs(20);
/// The fewest calls with one follower down, as a share of those with all members up: the median.
const SHARE: f64 = 0.95;
/// The fewest in any one window, which other work on the machine may disturb.
const LEAST: f64 = 0.8;
/// Over our channel.
const ATTEMPTS_PER_CALL: f64 = 1.02;
/// A call that takes longer waited for something.
const LONG: Duration = Duration::from_millis(250);
/// How much longer all calls over our channel may take, added up, with a follower down.
const LONGER: Duration = Duration::from_secs(1);

/// The calls of all clients in one window.
struct Window {
    /// In the order of `Over::BOTH`.
    ours: Vec<Calls>,
    by_hand: Tally,
}

/// The calls of one client in one window, and how many attempts it made for them.
struct Calls {
    tally: Tally,
    attempts: u64,
}

/// The clients of one round, which have seen no member down yet.
struct Clients {
    /// In the order of `Over::BOTH`.
    ours: Vec<(Ours, Arc<Sends>)>,
    by_hand: Bare,
}

/// The windows of one client in all rounds.
struct Windows {
    over: Over,
    up: Vec<Calls>,
    down: Vec<Calls>,
    /// The calls with a follower down, as a share of those with all members up.
    ratios: Vec<f64>,
}

/// Compares windows with one follower down to those with all members up.
pub(crate) async fn run(
    cluster: &mut Cluster,
    times: u32,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let members = cluster.uris();
    let leadership = Leadership::watch(members.clone());
    let mut all = Over::BOTH.map(Windows::new);
    let mut by_hand = Vec::new();
    for time in 0..times {
        let clients = Clients::new(&members)?;
        let leader = cluster.settled().await?;
        let follower = (leader + 1 + time as usize % 2) % 3;
        let before = clients.call(UP).await?;
        cluster.kill(follower).await?;
        let during = clients.call(DOWN).await?;
        cluster.restart(follower)?;
        cluster.settled().await?;
        let after = clients.call(UP).await?;
        by_hand.push(during.by_hand);
        let found = before.ours.into_iter().zip(during.ours).zip(after.ours);
        for (windows, ((before, during), after)) in all.iter_mut().zip(found) {
            windows.add(time, before, during, after);
        }
    }
    for windows in all {
        windows.check(&leadership, table, promises);
    }
    let by_hand = Tally::merged(by_hand);
    table.add("one follower down, hand loop", &by_hand, None);
    Ok(())
}

impl Clients {
    fn new(members: &[String]) -> Result<Self, Failure> {
        let ours = Over::BOTH.map(|over| {
            let sends = Arc::<Sends>::default();
            Ok((ours(over, members, &sends)?, sends))
        });
        Ok(Self {
            ours: ours.into_iter().collect::<Result<_, Failure>>()?,
            by_hand: bare(members)?,
        })
    }

    /// All of them call at the same time.
    async fn call(&self, time: Duration) -> Result<Window, Failure> {
        let load = Load::new(CALLERS).pause(PAUSE).time(time);
        let mut running = Vec::new();
        for (client, sends) in &self.ours {
            let client = client.clone();
            let calls = load.start(move |id| declared(client.clone(), id));
            running.push((calls, sends, sends.sent()));
        }
        let hand = self.by_hand.clone();
        let hand = load.start(move |id| declared_by_hand(hand.clone(), id));
        let mut ours = Vec::new();
        for (calls, sends, before) in running {
            let tally = calls.finish().await?;
            let attempts = sends.sent() - before;
            ours.push(Calls { tally, attempts });
        }
        let by_hand = hand.finish().await?;
        Ok(Window { ours, by_hand })
    }
}

impl Windows {
    fn new(over: Over) -> Self {
        Self {
            over,
            up: Vec::new(),
            down: Vec::new(),
            ratios: Vec::new(),
        }
    }

    fn add(&mut self, time: u32, before: Calls, during: Calls, after: Calls) {
        // Between two windows, which cancels a slow change of the machine.
        let around = f64::midpoint(before.tally.per_second(), after.tally.per_second());
        let ratio = during.tally.per_second() / around;
        println!(
            "  follower down {}, {}: {ratio:.3} of the calls with all up, {} attempts for {} \
             calls, the longest {:.2?}",
            time + 1,
            self.over,
            during.attempts,
            during.tally.calls(),
            during.tally.durations().last()
        );
        self.ratios.push(ratio);
        self.up.extend([before, after]);
        self.down.push(during);
    }

    fn check(mut self, leadership: &Leadership, table: &mut Table, promises: &mut Promises) {
        let over = self.over;
        self.ratios.sort_unstable_by(f64::total_cmp);
        let median = self.ratios.get(self.ratios.len() / 2).copied();
        let least = self.ratios.first().copied();
        promises.measure(
            median.is_some_and(|it| it >= SHARE) && least.is_some_and(|it| it >= LEAST),
            format!(
                "{over}: calls with one follower down, as a share of those with all up: {:.2?}",
                self.ratios
            ),
        );
        let (up, down) = (merged(self.up), merged(self.down));
        table.add(&format!("all members up, {over}"), &up.tally, None);
        table.add(&format!("one follower down, {over}"), &down.tally, None);
        let (failed, leaderless) = leadership.judge(&down.tally);
        promises.check(
            failed.is_empty(),
            format!(
                "{over}: {} calls failed with one follower down, beside {leaderless} without a \
                 leader: {:?}",
                failed.len(),
                failed.first()
            ),
        );
        let attempts = down.attempts_per_call();
        // What the machine costs, it costs with all members up, too.
        let share = down.tally.elapsed().as_secs_f64() / up.tally.elapsed().as_secs_f64();
        let usual = up.tally.beyond(LONG).mul_f64(share);
        let beyond = down.tally.beyond(LONG);
        println!(
            "  one follower down, {over}: {attempts:.4} attempts per call; the time over {LONG:?} \
             adds up to {beyond:.2?}, with all up {usual:.2?} in as much time"
        );
        if over == Over::Ours {
            promises.check(
                attempts <= ATTEMPTS_PER_CALL,
                format!("{over}: {attempts:.4} attempts per call with one follower down"),
            );
            promises.measure(
                beyond <= LONGER + usual,
                format!(
                    "{over}: with one follower down the time over {LONG:?} adds up to \
                     {beyond:.2?}, with all up to {usual:.2?} in as much time"
                ),
            );
        }
    }
}

impl Calls {
    #[expect(clippy::cast_precision_loss, reason = "counts of calls made here")]
    fn attempts_per_call(&self) -> f64 {
        self.attempts as f64 / self.tally.calls() as f64
    }
}

fn merged(windows: Vec<Calls>) -> Calls {
    let attempts = windows.iter().map(|it| it.attempts).sum();
    let tally = Tally::merged(windows.into_iter().map(|it| it.tally));
    Calls { tally, attempts }
}
