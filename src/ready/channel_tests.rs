//! Tables for the state machine: a sequence of events, and the decision for the next call.

use super::*;
use crate::classify::Reason;
use crate::grpc::Code;

#[path = "channel_tests_several.rs"]
mod several;

const MS: Duration = Duration::from_millis(1);
/// The backoff's wait in all tests.
const WAIT: Duration = Duration::from_millis(100);

/// A channel that a test drives step by step.
struct Driven {
    channel: Channel,
    policy: WaitForReadyPolicy,
    start: Instant,
    now: Instant,
    probe: u64,
    /// The probe was answered; a later failure belongs to another call.
    is_answered: bool,
}

impl Driven {
    fn new(endpoints: u32) -> Self {
        let policy = WaitForReadyPolicy {
            endpoints,
            ..WaitForReadyPolicy::default()
        };
        let now = Instant::now();
        let (channel, start, probe) = (Channel::default(), now, 0);
        Self {
            channel,
            policy,
            start,
            now,
            probe,
            is_answered: false,
        }
    }

    fn at(&mut self, ms: u32) -> &mut Self {
        self.now = self.start + MS * ms;
        self
    }

    fn probes(&mut self) -> &mut Self {
        assert_eq!(self.channel.find(self.now), Finding::Due);
        self.probe = self.channel.begin_probe(self.now);
        self.channel.polled(self.probe);
        self.is_answered = false;
        self
    }

    fn opens(&mut self) -> &mut Self {
        let opens = self.channel.is_opened_by(self.probe, false, self.now);
        let lives = self.now + MS * 250;
        assert!(opens || self.channel.living_test(lives) == Some(self.probe));
        self.channel.opened(Some(self.probe), self.now);
        self
    }

    fn answered(&mut self) -> &mut Self {
        self.channel.answered(self.now);
        self.is_answered = true;
        self
    }

    fn lost(&mut self, end: End) -> &mut Self {
        let mut error = error("connection reset");
        let Self {
            channel,
            policy,
            now,
            probe,
            ..
        } = self;
        channel.lost(*probe, end, &mut error, policy, WAIT, *now);
        self
    }

    fn fails(&mut self, own: u32) -> Change {
        let pick = Pick {
            number: self.probe,
            is_test: !self.is_answered,
            own,
        };
        let mut error = error("connection refused");
        self.channel
            .failed(pick, &mut error, &self.policy, WAIT, self.now)
    }

    /// When the next probe is due, in ms from the start; 0 means at once.
    fn due(&self) -> u128 {
        match self.channel.find(self.now) {
            Finding::Due => 0,
            Finding::NotBefore(at) => (at - self.start).as_millis(),
            // No probe is due.
            Finding::Ready | Finding::Shutdown => u128::MAX,
        }
    }

    fn state(&self) -> ConnectivityState {
        self.channel.state()
    }

    fn last_error(&self) -> Option<&str> {
        self.channel.last_error().map(|it| it.status().message())
    }
}

fn error(text: &str) -> Arc<Error> {
    Arc::new(Error::local(Code::Unavailable, Reason::ConnectFailed, text))
}

use ConnectivityState::{Idle, Ready, TransientFailure};

// CONTRACT W9
#[test]
fn a_connection_that_served_a_call_is_replaced_at_once_however_it_ends() {
    for end in [End::Lost, End::GoAway] {
        let mut it = Driven::new(1);
        for round in 0..20 {
            it.at(round).probes().opens().answered().lost(end);
            assert_eq!((it.due(), it.state()), (0, Idle), "{end:?}");
        }
    }
}

// CONTRACT W9, C3
#[test]
fn of_connections_that_served_none_the_first_in_a_row_is_replaced_at_once_and_the_next_are_not() {
    for (end, state) in [(End::Lost, TransientFailure), (End::GoAway, Idle)] {
        let mut it = Driven::new(1);
        it.probes().opens().at(1).lost(end);
        assert_eq!((it.due(), it.state()), (0, Idle));
        it.probes().opens().at(2).lost(end);
        assert_eq!((it.due(), it.state()), (101, state), "{end:?}");
        it.at(101).probes().opens().at(102).lost(end);
        assert_eq!((it.due(), it.state()), (201, state));
        // An answer ends the row.
        it.at(201).probes().opens().answered();
        assert_eq!(it.state(), Ready);
        it.lost(end).probes().opens().lost(end);
        assert_eq!((it.due(), it.state()), (0, Idle));
    }
}

// CONTRACT W9
#[test]
fn a_test_whose_connection_is_lost_before_its_request_is_read_counts_as_one_that_served_none() {
    let mut it = Driven::new(1);
    it.probes().lost(End::Lost);
    assert_eq!(it.due(), 0);
    it.at(5).probes().lost(End::Lost);
    assert_eq!((it.due(), it.state()), (105, TransientFailure));
}

// CONTRACT W9: hyper takes one more request after a GOAWAY, as long as a stream is open
#[test]
fn a_request_that_a_lost_connection_left_behind_is_no_lost_connection_once() {
    let mut it = Driven::new(1);
    it.probes().opens().lost(End::GoAway);
    it.probes().lost(End::Queued);
    assert_eq!((it.due(), it.state()), (0, Idle));
    it.probes().lost(End::Queued);
    assert_eq!((it.due(), it.state()), (100, TransientFailure), "for ever");
}

// CONTRACT W9: nginx refuses the calls above its limit before it answers those below
#[test]
fn an_answer_that_comes_late_shows_that_its_connection_served_a_call() {
    for end in [End::Lost, End::GoAway] {
        let mut it = Driven::new(1);
        it.probes().opens().lost(end);
        let first = it.probe;
        it.probes().opens().at(1).lost(end);
        assert_eq!(it.due(), 100);
        assert_eq!(it.channel.served(first), Change::Phase);
        assert_eq!((it.due(), it.state()), (0, Idle));
        // An answer from before the row does not change the row.
        it.probes().opens().answered().lost(end);
        it.probes().opens().lost(end).probes().opens().lost(end);
        assert_eq!(it.channel.served(first), Change::None);
        assert_eq!(it.due(), 101);
    }
}

// CONTRACT W9
#[test]
fn a_late_answer_does_not_undo_the_backoff_of_a_dial_that_failed() {
    let mut it = Driven::new(1);
    it.probes().opens().lost(End::Lost);
    let first = it.probe;
    it.probes();
    assert_eq!(it.fails(1), Change::Phase);
    assert_eq!(it.channel.served(first), Change::None);
    assert_eq!((it.due(), it.state()), (100, TransientFailure));
}

// CONTRACT R19
#[test]
fn the_latest_reason_is_kept_be_it_a_failed_dial_or_a_lost_connection() {
    let mut it = Driven::new(1);
    it.probes().fails(1);
    assert_eq!(it.last_error(), Some("connection refused"));
    it.at(100).probes().opens();
    assert_eq!(it.last_error(), None);
    it.lost(End::Lost);
    assert_eq!(it.last_error(), Some("connection reset"));
    it.probes().fails(1);
    assert_eq!(it.last_error(), Some("connection refused"));
    it.at(200).probes().opens().answered().lost(End::GoAway);
    assert_eq!(it.last_error(), Some("connection reset"));
}

// CONTRACT W11
#[test]
fn a_test_whose_owner_does_not_fetch_its_result_is_taken_over_soon() {
    let mut it = Driven::new(1);
    it.probes();
    for (ms, look) in [(0, 500), (499, 500), (500, 1_000), (19_700, 20_000)] {
        assert_eq!(it.at(ms).due(), look, "a slow dial is looked after");
    }
    it.at(3_000);
    it.channel.woke(it.probe, it.now);
    assert_eq!(it.due(), 3_250);
    it.channel.polled(it.probe);
    assert_eq!(it.due(), 3_500, "its owner came, and it goes on");
    it.channel.woke(it.probe, it.now);
    assert_eq!(it.at(3_250).due(), 0);
    // The probe that was taken over can't end the new one, but may still succeed.
    let lost = it.probe;
    it.probes();
    assert!(!it.channel.end_probe(lost, it.now));
    assert!(it.channel.is_opened_by(lost, false, it.now));
}

// CONTRACT W11
#[test]
fn a_test_that_was_never_polled_is_taken_over_soon_and_no_sooner_than_the_backoff_says() {
    let mut it = Driven::new(1);
    it.probe = it.channel.begin_probe(it.now);
    assert_eq!((it.due(), it.at(250).due()), (250, 0));
    it.probes().fails(1);
    let wait = it.channel.pause();
    assert_eq!(wait, WAIT);
    it.at(350);
    it.probe = it.channel.begin_probe(it.now);
    assert_eq!((it.due(), it.at(600).due()), (600, 0));
}
