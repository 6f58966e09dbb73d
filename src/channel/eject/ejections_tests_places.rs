//! How many may be ejected, and when all are used all the same.

use super::tests::{MS, Run, down, good, poor};
use super::*;

/// It comes back after this time, because too many are out.
fn back(number: u64, ms: u32) -> Step {
    Step::Returned {
        number,
        why: Back::TooMany,
        was_out: ms * MS,
    }
}

// CONTRACT O4
#[tokio::test(start_paused = true)]
async fn the_worst_ones_go_and_never_over_half_nor_the_last_ready_one() {
    let mut run = Run::new(&[down(), poor(), down(), good(), poor()]);
    run.pass();
    assert_eq!(run.out(), [1, 3]);
    let mut run = Run::new(&[poor(), good()]);
    run.pass();
    assert_eq!(run.out(), [1]);
    let mut run = Run::new(&[down(), good(), good(), good()]);
    run.all
        .iter_mut()
        .skip(1)
        .for_each(|it| it.is_ready = false);
    assert_eq!(run.pass(), [], "it is the last ready one");
    let mut run = Run::new(&[down(), good(), good(), good()]);
    run.all.iter_mut().skip(2).for_each(|it| {
        (it.is_ready, it.was_ready) = (false, false);
    });
    run.pass();
    assert_eq!(run.out(), [1], "one of two may go");
    run.all[1].record = down();
    run.pass();
    assert_eq!(run.out(), [1]);
}

// CONTRACT O4
#[tokio::test(start_paused = true)]
async fn if_endpoints_are_removed_those_beyond_half_come_back() {
    let mut run = Run::new(&[down(), good(), good(), good()]);
    run.pass();
    run.at(100);
    run.all[1].record = down();
    run.at(200);
    assert_eq!(run.out(), [1, 2]);
    run.all.pop();
    assert_eq!(run.at(300), [back(1, 300)], "it would have come back first");
    run.all.remove(2);
    run.all.remove(0);
    assert_eq!(run.at(400), [back(2, 200)], "it is alone");
}

// CONTRACT O4
#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_that_goes_down_leaves_its_place_to_another() {
    let mut run = Run::new(&[down(), down(), good(), good()]);
    run.pass();
    assert_eq!(run.out(), [1, 2]);
    run.all[2].record = down();
    for seen in &mut run.all[..2] {
        seen.is_ready = false;
    }
    run.at(100);
    assert_eq!(run.out(), [1, 2], "their connections are being replaced");
    for seen in &mut run.all[..2] {
        seen.is_down = true;
    }
    let steps = run.at(200);
    let places = |step: &Step| match step {
        Step::Ejected(it) => (it.number, it.out, it.most),
        step => panic!("{step:?}"),
    };
    assert_eq!(steps.iter().map(places).collect::<Vec<_>>(), [(3, 1, 2)]);
    assert_eq!(run.out(), [1, 2, 3], "they stay ejected");
    (run.all[0].is_ready, run.all[0].is_down) = (true, false);
    assert_eq!(run.at(300), []);
    (run.all[1].is_ready, run.all[1].is_down) = (true, false);
    let back = back(1, 400);
    assert_eq!(run.at(400), [back], "there are three for two places");
    assert_eq!(run.out(), [2, 3]);
}

// CONTRACT O4
#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_that_is_down_does_not_come_back_for_one_that_is_up() {
    let mut run = Run::new(&[down(), good(), good(), good()]);
    run.pass();
    run.at(100);
    run.all[1].record = down();
    run.at(200);
    assert_eq!(run.out(), [1, 2]);
    (run.all[0].is_ready, run.all[0].is_down) = (false, true);
    run.all[2].record = down();
    run.at(300);
    assert_eq!(run.out(), [1, 2, 3]);
    run.all.pop();
    let back = back(2, 200);
    assert_eq!(run.at(400), [back], "one of three may be out");
}

// CONTRACT L8
#[tokio::test(start_paused = true)]
async fn ejected_endpoints_are_used_while_no_other_one_is_ready() {
    let mut run = Run::new(&[down(), good(), good()]);
    run.pass();
    run.all[1].is_ready = false;
    run.all[2].is_ready = false;
    let panic = |is_on, ready| Step::Panic {
        is_on,
        ready,
        ejected: 1,
        failing: 0,
    };
    assert_eq!(run.at(100), [panic(true, 1)]);
    assert!(run.ejections.lets_in(1));
    assert_eq!(run.due(), Some(1_000), "its time goes on");
    run.all[2].is_ready = true;
    assert_eq!(run.at(200), [panic(false, 2)]);
    assert!(!run.ejections.lets_in(1));
}

// CONTRACT O4
#[tokio::test(start_paused = true)]
async fn the_one_that_comes_back_is_not_the_first_in_order_but_in_time() {
    let mut run = Run::new(&[good(), down(), good(), good()]);
    run.pass();
    run.at(100);
    run.all[0].record = down();
    run.at(200);
    assert_eq!(run.out(), [1, 2]);
    run.all.pop();
    let back = back(2, 300);
    assert_eq!(run.at(300), [back]);
}

// CONTRACT L8
#[tokio::test(start_paused = true)]
async fn a_panic_in_which_nothing_fails_needs_no_timer() {
    let mut run = Run::new(&[down(), good()]);
    run.pass();
    run.all[1].is_ready = false;
    assert_eq!(run.at(100).len(), 1);
    assert_eq!(run.due(), Some(1_000), "the end of the ejection");
    run.at(1_000);
    assert!(run.ejections.is_probing(1));
    assert_eq!(run.due(), None);
}

// CONTRACT L8
#[tokio::test(start_paused = true)]
async fn what_an_endpoint_did_before_its_ejection_is_no_reason_for_a_panic() {
    let mut run = Run::new(&[down(), down(), good(), good()]);
    run.pass();
    for seen in &mut run.all[2..] {
        seen.is_ready = false;
    }
    assert_eq!(run.at(100).len(), 1, "no other one is ready");
    run.at(1_000);
    run.all[0].verdict = Some(true);
    let steps = run.at(1_100);
    assert!(
        matches!(
            &steps[..],
            [
                Step::Returned { number: 1, .. },
                Step::Panic { is_on: false, .. }
            ]
        ),
        "{steps:?}"
    );
}

// CONTRACT L8
#[tokio::test(start_paused = true)]
async fn ejected_endpoints_are_used_again_once_the_others_are_down_too() {
    let mut run = Run::new(&[down(), good()]);
    run.pass();
    run.all[1].record = poor();
    assert_eq!(run.at(100), [], "it answers some calls");
    run.all[1].record = down();
    let steps = run.at(200);
    assert_eq!(
        steps,
        [Step::Panic {
            is_on: true,
            ready: 2,
            ejected: 1,
            failing: 1
        }]
    );
    assert!(run.ejections.lets_in(1) && run.ejections.lets_in(2));
}

// CONTRACT L8
#[tokio::test(start_paused = true)]
async fn a_panic_is_over_once_no_call_fails_any_more() {
    let mut run = Run::new(&[down(), down()]);
    assert_eq!(run.pass().len(), 1);
    assert!(run.ejections.is_active());
    // The records' failures are of the second 1.
    let steps = run.ejections.pass(&run.all, run.now, 11_100, || 0.5);
    assert_eq!(
        steps,
        [Step::Panic {
            is_on: false,
            ready: 2,
            ejected: 0,
            failing: 0
        }]
    );
    assert_eq!(run.due(), None, "a channel at rest has no timer");
}
