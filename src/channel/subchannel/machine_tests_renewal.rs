//! What changed settings of TLS do.

use super::*;

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn new_settings_make_one_more_connection_however_many_there_are() {
    let mut run = Run::new(1);
    assert_eq!(run.renew(), None, "the next dial has them");
    assert_eq!(run.state(), Idle);
    run.demand();
    run.connect();
    assert_eq!(run.renew(), Some(100), "never two within 100 ms");
    assert_eq!(run.renew(), Some(100));
    assert_eq!(run.state(), Ready);
    run.until(100).await;
    run.dial();
    assert_eq!(run.renew(), None, "a dial under way is not doubled");
    run.machine.dialled();
    run.machine.replaced();
    assert_eq!(run.state(), Ready);
    run.machine.replaced();
    assert_eq!(run.state(), Idle);
}

// CONTRACT C3, C4
#[tokio::test(start_paused = true)]
async fn a_replacement_that_cannot_be_made_is_tried_again_with_backoff() {
    let mut run = Run::new(4);
    run.demand();
    run.connect();
    run.until(1_000).await;
    assert_eq!(run.renew(), Some(1_000));
    run.dial();
    assert_eq!(run.fail(), Some(1_200));
    assert_eq!(run.state(), Ready);
    run.until(1_200).await;
    run.dial();
    assert_eq!(run.fail(), Some(1_600));
    // Newer ones may cure it.
    run.until(1_300).await;
    assert_eq!(run.renew(), Some(1_300));
    run.connect();
    // The backoff is over with it. From now on a failed dial is one of a connection more, which is
    // not needed.
    run.until(1_450).await;
    assert_eq!(run.more(), Some(1_450));
    run.dial();
    assert_eq!(run.fail(), None);
    // It is no failure of the endpoint either.
    run.lose(true);
    run.lose(true);
    assert_eq!(run.state(), Connecting);
}

// CONTRACT C4
#[tokio::test(start_paused = true)]
async fn without_its_earlier_connections_an_endpoint_whose_new_settings_fail_is_failing() {
    let mut run = Run::new(4);
    run.demand();
    run.connect();
    run.until(1_000).await;
    run.renew();
    run.dial();
    run.fail();
    assert_eq!(
        run.lose(true),
        Some(1_000),
        "what is lost is replaced at once"
    );
    assert_eq!(run.state(), TransientFailure);
    run.connect();
    assert_eq!(run.state(), Ready);
}

#[tokio::test(start_paused = true)]
async fn new_settings_end_the_backoff_of_an_endpoint_that_is_down() {
    let mut run = Run::new(4);
    run.demand();
    run.dial();
    assert_eq!(run.fail(), Some(200));
    run.until(150).await;
    assert_eq!(run.renew(), Some(150));
    run.dial();
    // It may have begun before the next change.
    assert_eq!(run.renew(), None);
    assert!(run.fail().is_some());
    assert_eq!(run.state(), TransientFailure);
}
