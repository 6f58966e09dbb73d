//! Several endpoints (W10), and reads of a request that prove no stream (W5, W9).

use super::*;

// CONTRACT W10
#[test]
fn after_three_alternations_one_failed_dial_closes_nothing() {
    let mut it = Driven::new(1);
    it.probes().opens().answered();
    for round in 0..3 {
        assert_eq!(it.fails(1), Change::Phase, "{round}");
        it.probes().opens().answered();
    }
    for round in 0..100 {
        it.at(round);
        assert_eq!(it.fails(1), Change::None);
        it.answered();
        it.lost(End::Lost);
        assert_eq!(it.state(), Ready, "a lost connection is one of several");
    }
}

// CONTRACT W10
#[test]
fn a_server_whose_connection_is_lost_each_time_is_one_endpoint() {
    let mut it = Driven::new(1);
    for round in 0..20 {
        it.at(round * 200)
            .probes()
            .opens()
            .answered()
            .lost(End::Lost);
        it.probes().fails(1);
        assert_eq!(it.state(), TransientFailure);
        it.at(round * 200 + 100);
    }
}

// CONTRACT W10
#[test]
fn after_all_of_several_endpoints_were_down_eight_tests_follow_a_failed_one_at_once() {
    let mut it = Driven::new(3);
    it.channel.opened(None, it.now);
    it.answered();
    it.probe = it.channel.shown_by();
    let closed = (1..=20).find(|own| it.fails(*own) == Change::Phase);
    assert_eq!(closed, Some(9));
    assert_eq!((it.due(), it.state()), (100, TransientFailure));
    for round in 1..4_u32 {
        it.at(round * 100);
        for _ in 0..8 {
            it.probes().fails(1);
            assert_eq!(it.due(), 0);
        }
        it.probes().fails(1);
        assert_eq!(it.due(), u128::from(round + 1) * 100);
    }
    it.at(400).probes().opens().answered();
    assert_eq!(it.state(), Ready);
}

// CONTRACT W5: a layer below reads the request before it dials
#[test]
fn after_a_read_request_that_found_no_connection_only_an_answer_shows_an_open_stream() {
    let mut it = Driven::new(1);
    it.probes().opens();
    assert_eq!(it.fails(1), Change::Phase);
    for round in 1..5 {
        it.at(round * 100).probes();
        assert!(!it.channel.is_opened_by(it.probe, false, it.now));
        assert_eq!(it.channel.living_test(it.now + MS * 1_000), None);
        it.fails(1);
        assert_eq!(it.state(), TransientFailure);
    }
    it.at(500).probes();
    it.channel.opened(Some(it.probe), it.now);
    it.answered();
    it.lost(End::Lost);
    it.probes().opens();
}

// CONTRACT W9
#[test]
fn after_an_unserved_loss_the_others_stay_out_of_the_next_connection_for_a_moment() {
    let mut it = Driven::new(1);
    it.probes().opens().lost(End::Lost);
    it.at(1).probes();
    assert!(!it.channel.is_opened_by(it.probe, false, it.now));
    assert_eq!(it.due(), 251);
    assert_eq!(it.channel.living_test(it.now + MS * 249), None);
    assert_eq!(it.channel.living_test(it.now + MS * 250), Some(it.probe));
}

// CONTRACT W5: a layer below that collects requests does so in the call's own task
#[test]
fn a_request_that_its_own_task_reads_is_on_an_open_stream_only_if_that_lives() {
    let mut it = Driven::new(1);
    it.probes();
    assert!(!it.channel.is_opened_by(it.probe, true, it.now));
    assert_eq!(it.due(), 250);
    it.fails(1);
    assert_eq!(it.state(), TransientFailure);
    it.at(100).probes();
    assert!(it.channel.is_opened_by(it.probe, false, it.now));
}

// CONTRACT W5: a real stream, whose connection is lost unseen
#[test]
fn a_failed_dial_of_another_call_does_not_make_the_reading_of_requests_suspect() {
    let mut it = Driven::new(1);
    it.probes().opens();
    let pick = Pick {
        number: it.probe,
        is_test: false,
        own: 1,
    };
    let mut error = error("connection refused");
    it.channel
        .failed(pick, &mut error, &it.policy, WAIT, it.now);
    it.at(100).probes().opens();
}

// CONTRACT W10
#[test]
fn an_answer_after_the_gate_was_closed_by_another_endpoint_s_failure_opens_it_for_a_test_at_once() {
    let mut it = Driven::new(1);
    // The probe's stream is open, calls go, and some of them pick a dead endpoint at once.
    it.probes().fails(1);
    it.at(100);
    for _ in 0..3 {
        it.probes().opens();
        let test = it.probe;
        // The failing call is another one, which the probe let go.
        it.is_answered = true;
        assert_eq!(it.fails(1), Change::Phase);
        assert_eq!(it.state(), TransientFailure);
        assert_eq!(it.channel.served(test), Change::Phase);
        assert_eq!(it.state(), Idle, "the next test is due");
    }
    it.probes().opens();
    it.is_answered = true;
    assert_eq!(
        it.fails(1),
        Change::None,
        "by now it is known to have several endpoints"
    );
}
