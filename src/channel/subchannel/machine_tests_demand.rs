//! What an address does that is dialled on demand only, or whose server is not healthy.

use super::*;

fn on_demand() -> Run {
    let mut run = Run::new(4);
    run.machine = run.machine.on_demand();
    run
}

// CONTRACT L6, C3
#[tokio::test(start_paused = true)]
async fn on_demand_no_dial_follows_by_itself_and_the_next_demand_keeps_the_backoff() {
    let mut run = on_demand();
    assert_eq!(run.demand(), Some(0));
    run.dial();
    assert_eq!(run.fail(), None);
    assert_eq!(run.state(), TransientFailure);
    run.until(50).await;
    assert_eq!(run.demand(), Some(200), "the backoff goes on");
    run.until(200).await;
    run.connect();
    run.until(300).await;
    assert_eq!(run.lose(true), None);
    assert_eq!((run.state(), run.demand()), (Idle, Some(300)));
}

// CONTRACT L6: that another address is used is no failure of this one
#[tokio::test(start_paused = true)]
async fn an_address_that_stands_by_is_idle_whatever_it_was() {
    let mut run = on_demand();
    run.demand();
    run.dial();
    run.fail();
    assert_eq!(run.state(), TransientFailure);
    run.machine.stand_by();
    assert_eq!(run.state(), Idle);
}

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn a_dial_is_too_soon_within_100_ms_of_the_last_one_and_not_after() {
    let mut run = Run::new(4);
    assert!(!run.machine.is_too_soon(run.start));
    run.demand();
    run.dial();
    assert!(run.machine.is_too_soon(run.start + 99 * MS));
    assert!(!run.machine.is_too_soon(run.start + 100 * MS));
}

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn a_planned_dial_is_not_put_off_by_the_backoff_of_a_lost_connection() {
    let mut run = Run::new(4);
    run.demand();
    run.connect();
    run.until(10).await;
    assert_eq!(run.lose(false), Some(100));
    run.until(100).await;
    run.connect();
    run.until(150).await;
    assert_eq!(run.more(), Some(200));
    run.until(160).await;
    assert_eq!(run.lose(false), None, "200 ms since the dial would be 300");
    let next = run.machine.next_dial();
    assert_eq!(run.ms(next), Some(200));
}

// CONTRACT G1, C4, C8
#[tokio::test(start_paused = true)]
async fn an_endpoint_is_ready_while_one_of_its_connections_is_healthy() {
    let mut run = Run::new(4);
    run.machine.set_unhealthy(0);
    assert_eq!(run.state(), Idle, "without a connection nothing failed");
    run.demand();
    run.connect();
    run.until(100).await;
    run.more();
    run.connect();
    run.machine.set_unhealthy(1);
    assert_eq!(run.state(), Ready);
    run.until(300).await;
    assert_eq!(run.more(), None, "another would hardly be healthy");
    run.machine.set_unhealthy(2);
    assert_eq!(run.state(), TransientFailure);
    run.machine.set_unhealthy(1);
    assert_eq!(run.state(), Ready);
    run.machine.set_unhealthy(0);
    assert_eq!(run.more(), Some(300));
}

// CONTRACT G1
#[tokio::test(start_paused = true)]
async fn an_unhealthy_connection_that_is_closed_idle_is_no_failure_and_rests_until_a_call() {
    let mut run = Run::new(4);
    run.demand();
    run.connect();
    run.machine.set_unhealthy(1);
    assert_eq!(run.state(), TransientFailure);
    run.machine.closed_idle();
    run.machine.set_unhealthy(0);
    assert_eq!((run.state(), run.machine.is_at_rest()), (Idle, true));
    run.until(200).await;
    assert_eq!(run.demand(), Some(200));
    assert!(!run.machine.is_at_rest());
}

// CONTRACT C4
#[tokio::test(start_paused = true)]
async fn a_connection_lost_before_its_replacement_was_tried_is_no_failure() {
    let mut run = Run::new(4);
    run.demand();
    run.connect();
    run.until(1_000).await;
    assert_eq!(run.renew(), Some(1_000));
    run.lose(true);
    assert_eq!(run.state(), Connecting);
}
