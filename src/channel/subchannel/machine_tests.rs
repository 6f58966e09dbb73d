use tokio::time::advance;

use super::*;
use crate::backoff::Exponential;
use Connectivity::{Connecting, Idle, Ready, Shutdown, TransientFailure};

const MS: Duration = Duration::from_millis(1);
const UNIT: f64 = 0.5;

/// 200 ms, x2, no jitter.
fn machine(max: u32) -> Machine {
    let backoff = Exponential::new(200 * MS)
        .unwrap()
        .jitter(crate::backoff::Jitter::None);
    Machine::new(Arc::new(backoff), max)
}

/// A machine on a clock: what it answers is in ms from the start.
struct Run {
    machine: Machine,
    start: Instant,
    ready_since: Instant,
}

impl Run {
    fn new(max: u32) -> Self {
        let start = Instant::now();
        Self {
            machine: machine(max),
            start,
            ready_since: start,
        }
    }

    fn ms(&self, at: Option<Instant>) -> Option<u128> {
        at.map(|at| (at - self.start).as_millis())
    }

    fn demand(&mut self) -> Option<u128> {
        let at = self.machine.demand(Instant::now());
        self.ms(at)
    }

    fn more(&mut self) -> Option<u128> {
        let at = self.machine.demand_more(Instant::now());
        self.ms(at)
    }

    fn renew(&mut self) -> Option<u128> {
        let at = self.machine.renew(Instant::now());
        self.ms(at)
    }

    fn dial(&mut self) {
        assert!(self.machine.dialling(Instant::now()));
    }

    fn connect(&mut self) {
        self.dial();
        self.machine.dialled();
        self.ready_since = Instant::now();
    }

    fn fail(&mut self) -> Option<u128> {
        let at = self.machine.failed(Instant::now(), UNIT);
        self.ms(at)
    }

    fn lose(&mut self, has_served: bool) -> Option<u128> {
        self.lose_by(has_served, false)
    }

    fn lose_by(&mut self, has_served: bool, is_graceful: bool) -> Option<u128> {
        let was = Was {
            ready_since: self.ready_since,
            has_served,
            is_graceful,
        };
        let at = self.machine.lost(was, Instant::now(), UNIT);
        self.ms(at)
    }

    /// Until then, in ms from the start.
    async fn until(&self, ms: u32) {
        let now = Instant::now();
        advance((self.start + ms * MS).saturating_duration_since(now)).await;
    }

    fn state(&self) -> Connectivity {
        self.machine.state()
    }
}

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn a_connection_is_made_once_a_call_wants_it() {
    let mut run = Run::new(4);
    assert_eq!(run.state(), Idle);
    assert_eq!(run.demand(), Some(0));
    assert_eq!(run.state(), Connecting);
    assert_eq!(run.demand(), None, "a dial is planned");
    run.dial();
    assert_eq!(run.demand(), None, "a dial under way is not doubled");
    assert!(!run.machine.dialling(Instant::now()));
    run.machine.dialled();
    assert_eq!(run.state(), Ready);
    assert_eq!(run.demand(), None);
}

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn the_backoff_counts_from_the_start_of_the_failed_dial() {
    let mut run = Run::new(4);
    run.demand();
    run.dial();
    run.until(150).await;
    assert_eq!(run.fail(), Some(200));
    run.until(200).await;
    run.dial();
    run.until(700).await;
    assert_eq!(run.fail(), Some(700), "the dial took longer than its delay");
    run.dial();
    assert_eq!(run.fail(), Some(700 + 800));
}

// CONTRACT C4
#[tokio::test(start_paused = true)]
async fn a_failure_lasts_until_ready() {
    let mut run = Run::new(4);
    run.demand();
    run.dial();
    assert_eq!(run.state(), Connecting);
    run.fail();
    assert_eq!(run.state(), TransientFailure);
    run.dial();
    assert_eq!(run.state(), TransientFailure);
    run.machine.dialled();
    assert_eq!(run.state(), Ready);
    assert_eq!(run.lose(true), Some(0));
    assert_eq!(run.state(), Connecting);
}

// CONTRACT C3, W9
#[tokio::test(start_paused = true)]
async fn a_connection_that_served_a_call_is_replaced_at_once() {
    let mut run = Run::new(4);
    run.demand();
    for ms in [5, 6, 7] {
        run.connect();
        run.until(ms).await;
        assert_eq!(run.lose(true), Some(u128::from(ms)));
        assert_eq!(run.state(), Connecting);
    }
}

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn a_connection_that_was_ready_for_10_s_is_replaced_at_once() {
    let mut run = Run::new(4);
    run.demand();
    run.dial();
    run.fail();
    run.until(200).await;
    run.connect();
    run.until(10_200).await;
    assert_eq!(run.lose(false), Some(10_200));
    assert_eq!(run.state(), Connecting);
    run.dial();
    assert_eq!(run.fail(), Some(10_400), "the backoff began anew");
}

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn a_connection_lost_early_counts_as_a_failed_dial() {
    let mut run = Run::new(4);
    run.demand();
    run.connect();
    run.until(10).await;
    assert_eq!(run.lose(false), Some(100), "at once, 100 ms after the last");
    assert_eq!(run.state(), Connecting);
    run.until(100).await;
    run.connect();
    assert_eq!(run.lose(false), Some(100 + 200), "the next one backs off");
    assert_eq!(run.state(), TransientFailure);
    run.until(300).await;
    run.connect();
    run.until(9_000).await;
    assert_eq!(run.lose(false), Some(9_000), "its delay has passed");
    run.connect();
    assert_eq!(run.lose(false), Some(9_000 + 800));
}

// CONTRACT C3, C5
#[tokio::test(start_paused = true)]
async fn a_graceful_goaway_before_any_call_backs_off_and_is_no_failure() {
    let mut run = Run::new(4);
    run.demand();
    run.connect();
    assert_eq!(run.lose_by(false, true), Some(100));
    run.until(100).await;
    run.connect();
    assert_eq!(run.lose_by(false, true), Some(300));
    assert_eq!(run.state(), Connecting);
}

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn a_response_that_comes_after_the_loss_brings_the_next_dial_forward() {
    let mut run = Run::new(4);
    run.demand();
    for _ in 0..2 {
        run.connect();
        run.lose_by(false, true);
    }
    run.until(7).await;
    let at = run.machine.served_late(Instant::now());
    assert_eq!(run.ms(at), Some(7));
    run.connect();
    assert_eq!(run.lose(false), Some(107), "the first in a row");
    let at = run.machine.served_late(Instant::now());
    run.dial();
    assert_eq!(run.ms(at), Some(7));
    let at = run.machine.served_late(Instant::now());
    assert_eq!(run.ms(at), None, "a dial is under way");
}

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn two_dials_are_never_within_100_ms_unless_the_connection_between_served() {
    let mut run = Run::new(4);
    run.demand();
    run.dial();
    run.until(20).await;
    run.fail();
    let reset = run.machine.reset_backoff(Instant::now());
    assert_eq!(run.ms(reset), Some(100));
    run.until(100).await;
    run.connect();
    assert_eq!(run.lose(true), Some(100));
}

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn a_reset_starts_the_next_dial_at_once_and_doubles_none() {
    let mut run = Run::new(4);
    let reset = |run: &mut Run| run.machine.reset_backoff(Instant::now());
    assert_eq!(reset(&mut run), None, "no call wants one");
    run.demand();
    for _ in 0..6 {
        run.dial();
        run.fail();
    }
    run.until(1_000).await;
    let at = reset(&mut run);
    assert_eq!(run.ms(at), Some(1_000));
    run.dial();
    assert_eq!(reset(&mut run), None, "a dial is under way");
    assert_eq!(run.fail(), Some(1_200), "the backoff begins anew");
}

// CONTRACT C8
#[tokio::test(start_paused = true)]
async fn more_connections_are_made_up_to_the_most() {
    let mut run = Run::new(2);
    assert_eq!(run.more(), None, "the first is not there");
    run.demand();
    run.connect();
    run.until(100).await;
    assert_eq!(run.more(), Some(100));
    assert_eq!(run.more(), None, "a dial is planned");
    run.connect();
    assert_eq!(run.more(), None, "there are two");
    assert_eq!(run.lose(true), None, "one is left");
    assert_eq!(run.state(), Ready);
    assert_eq!(run.more(), Some(100));
}

// CONTRACT C8
#[tokio::test(start_paused = true)]
async fn a_failed_dial_of_one_more_is_no_failure_of_the_endpoint() {
    let mut run = Run::new(2);
    run.demand();
    run.connect();
    run.until(100).await;
    run.more();
    run.dial();
    assert_eq!(run.fail(), None);
    assert_eq!(run.state(), Ready);
    run.until(299).await;
    assert_eq!(run.more(), None, "it backs off");
    run.until(300).await;
    assert_eq!(run.more(), Some(300));
}

// CONTRACT C8
#[tokio::test(start_paused = true)]
async fn a_dial_of_one_more_under_way_replaces_a_lost_one() {
    let mut run = Run::new(2);
    run.demand();
    run.connect();
    run.until(100).await;
    run.more();
    run.dial();
    assert_eq!(run.lose(true), None);
    assert_eq!(run.state(), Connecting);
    run.machine.dialled();
    assert_eq!(run.state(), Ready);
}

#[tokio::test(start_paused = true)]
async fn a_connection_closed_for_idleness_is_not_replaced() {
    let mut run = Run::new(4);
    run.demand();
    run.connect();
    run.machine.closed_idle();
    assert_eq!(run.state(), Idle);
    run.until(1_000).await;
    assert_eq!(run.demand(), Some(1_000));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_dialled_after_the_end() {
    let mut run = Run::new(4);
    run.demand();
    assert!(run.machine.next_dial().is_some());
    run.connect();
    run.lose(true);
    assert!(run.machine.next_dial().is_some());
    run.machine.shut();
    assert_eq!(run.machine.next_dial(), None);
    assert_eq!(run.state(), Shutdown);
    assert_eq!(run.lose(true), None);
    assert_eq!(run.demand(), None);
    assert_eq!(run.more(), None);
    assert_eq!(run.renew(), None);
    assert!(!run.machine.dialling(Instant::now()));
}

#[path = "machine_tests_renewal.rs"]
mod renewal;

#[path = "machine_tests_backoff.rs"]
mod backoff_tests;

#[path = "machine_tests_silence.rs"]
mod silence_tests;

#[path = "machine_tests_demand.rs"]
mod demand_tests;
