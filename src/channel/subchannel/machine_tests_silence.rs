//! What connections that may be dead do.

use super::*;

impl Run {
    fn fall_silent(&mut self, has_served: bool, is_another: bool) -> Option<u128> {
        let was = Was {
            ready_since: self.ready_since,
            has_served,
            is_graceful: false,
        };
        let at = self.machine.silent(was, is_another, Instant::now(), UNIT);
        self.ms(at)
    }

    async fn ready(max: u32) -> Self {
        let mut run = Self::new(max);
        run.demand();
        run.connect();
        run.until(1_000).await;
        run
    }
}

// CONTRACT C22
#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_replaced_at_once_and_may_come_back() {
    let mut run = Run::ready(1).await;
    assert_eq!(run.fall_silent(true, false), Some(1_000));
    assert_eq!(run.state(), Connecting);
    run.dial();
    assert_eq!(run.demand(), None);
    run.connect_again();
    assert_eq!(run.state(), Ready);
    run.machine.answers();
    assert_eq!(run.more(), None, "there are more than the most already");
    run.machine.closed_idle();
    assert_eq!((run.state(), run.machine.is_at_rest()), (Ready, false));
}

impl Run {
    fn connect_again(&mut self) {
        self.machine.dialled();
        self.ready_since = Instant::now();
    }
}

// CONTRACT C22, C8
#[tokio::test(start_paused = true)]
async fn it_is_replaced_beside_others_too() {
    let mut run = Run::ready(2).await;
    run.more();
    run.connect();
    assert_eq!(run.fall_silent(true, false), Some(1_000));
    assert_eq!(run.state(), Ready);
    run.dial();
    run.until(1_010).await;
    assert_eq!(run.fall_silent(true, false), None, "a dial is not doubled");
    assert_eq!(run.state(), Connecting);
}

// CONTRACT C22, C3
#[tokio::test(start_paused = true)]
async fn a_dial_after_it_counts_for_the_100_ms_and_for_the_backoff() {
    let mut run = Run::ready(1).await;
    let older = run.ready_since;
    run.fall_silent(true, false);
    run.dial();
    run.connect_again();
    run.machine.answers();
    run.ready_since = older;
    run.until(1_050).await;
    let at = run.fall_silent(true, false);
    assert_eq!(
        at,
        Some(1_100),
        "it served before that dial, and not after it"
    );

    let mut run = Run::ready(1).await;
    run.fall_silent(true, false);
    run.dial();
    let again = run.fail();
    assert_eq!((run.state(), again), (TransientFailure, Some(1_200)));
    run.machine.answers();
    assert_eq!(run.state(), Ready);
    assert_eq!(run.machine.next_dial(), None, "it is not wanted any more");
    assert!(!run.machine.dialling(Instant::now()));
}

// CONTRACT C22, C3
#[tokio::test(start_paused = true)]
async fn those_that_served_nothing_or_fall_silent_one_after_another_are_failed_dials() {
    for (has_served, is_another) in [(false, false), (true, true)] {
        let mut run = Run::ready(1).await;
        assert_eq!(run.fall_silent(has_served, is_another), Some(1_000));
        run.dial();
        run.connect_again();
        run.until(1_300).await;
        let at = run.fall_silent(false, true);
        assert_eq!(at, Some(1_300), "200 ms since the dial");
        assert_eq!(run.state(), TransientFailure);
        run.dial();
        run.connect_again();
        assert_eq!(run.state(), Ready);
        run.until(1_400).await;
        assert_eq!(run.fall_silent(false, true), Some(1_700), "and then 400");
    }
}

// CONTRACT C22, L6
#[tokio::test(start_paused = true)]
async fn an_address_that_is_dialled_on_demand_waits_for_it() {
    let mut run = Run::new(1);
    run.machine = run.machine.on_demand();
    run.demand();
    run.connect();
    run.until(1_000).await;
    assert_eq!(run.fall_silent(true, false), None);
    assert_eq!((run.state(), run.demand()), (Idle, Some(1_000)));
}
