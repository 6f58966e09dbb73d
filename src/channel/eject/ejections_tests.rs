use super::super::rules::tests::{record, rules};
use super::*;

pub(super) const MS: Duration = Duration::from_millis(1);

/// Endpoints and a clock. The test sets how the calls of each endpoint went.
pub(super) struct Run {
    pub(super) ejections: Ejections,
    pub(super) all: Vec<Seen>,
    start: Instant,
    pub(super) now: Instant,
}

pub(super) fn good() -> Record {
    record(0, 0, 50)
}

pub(super) fn down() -> Record {
    record(5, 5, 5)
}

pub(super) fn poor() -> Record {
    record(0, 30, 100)
}

impl Run {
    pub(super) fn new(records: &[Record]) -> Self {
        let start = Instant::now();
        let seen = |(number, record): (u64, &Record)| Seen {
            number,
            is_ready: true,
            is_down: false,
            was_ready: true,
            record: *record,
            verdict: None,
        };
        Self {
            ejections: Ejections::new(rules()),
            all: (1..).zip(records).map(seen).collect(),
            start,
            now: start,
        }
    }

    pub(super) fn pass(&mut self) -> Vec<Step> {
        // Records are of the first seconds.
        let steps = self.ejections.pass(&self.all, self.now, 2_000, || 0.5);
        for seen in &mut self.all {
            seen.verdict = None;
            let is_back = |step: &Step| matches!(step, Step::Returned { number, .. } if *number == seen.number);
            if steps.iter().any(is_back) {
                seen.record = Record::default();
            }
        }
        steps
    }

    /// At this time, in ms from the start.
    pub(super) fn at(&mut self, ms: u32) -> Vec<Step> {
        self.now = self.start + ms * MS;
        self.pass()
    }

    pub(super) fn due(&self) -> Option<u128> {
        let due = self.ejections.due();
        due.map(|due| (due - self.start).as_millis())
    }

    pub(super) fn out(&self) -> Vec<u64> {
        let numbers = self.all.iter().map(|it| it.number);
        numbers.filter(|it| self.ejections.has(*it)).collect()
    }
}

// CONTRACT O1, O2
#[tokio::test(start_paused = true)]
async fn one_of_four_that_is_down_is_ejected_with_the_numbers_that_decided() {
    let mut run = Run::new(&[good(), down(), good(), good()]);
    let ejected = Ejected {
        number: 2,
        why: Why::InARow,
        record: down(),
        better_rate: 0.0,
        times: 1,
        lasts: 1_000 * MS,
        out: 1,
        most: 2,
    };
    assert_eq!(run.pass(), [Step::Ejected(ejected)]);
    assert_eq!(run.pass(), []);
    assert_eq!((run.out(), run.due()), (vec![2], Some(1_000)));
    assert!(!run.ejections.lets_in(2) && run.ejections.lets_in(1));
}

// CONTRACT O1, L8
#[tokio::test(start_paused = true)]
async fn where_all_fail_none_is_ejected_and_that_is_said_once() {
    for bad in [down(), poor()] {
        let mut run = Run::new(&[bad; 4]);
        let panic = |is_on, failing| Step::Panic {
            is_on,
            ready: 4,
            ejected: 0,
            failing,
        };
        assert_eq!(run.pass(), [panic(true, 4)]);
        assert_eq!(run.pass(), []);
        assert_eq!((run.out(), run.due()), (vec![], Some(1_000)));
        run.all[3].record = good();
        run.all[0].record = good();
        run.all[1].record = good();
        let steps = run.pass();
        assert_eq!(
            steps[1],
            Step::Panic {
                is_on: false,
                ready: 4,
                ejected: 1,
                failing: 0
            }
        );
        assert_eq!((run.out(), run.due()), (vec![3], Some(1_000)));
    }
}

// CONTRACT O3
#[tokio::test(start_paused = true)]
async fn a_call_decides_after_the_time_and_each_failure_doubles_it() {
    let mut run = Run::new(&[down(), good(), good()]);
    run.pass();
    assert_eq!(run.at(999), []);
    let probing = |was_out: u32| Step::Probing {
        number: 1,
        was_out: was_out * MS,
    };
    assert_eq!(run.at(1_000), [probing(1_000)]);
    assert!(run.ejections.is_probing(1) && run.out() == [1]);
    assert_eq!(run.due(), None, "it waits for a call");
    assert_eq!(run.at(50_000), []);
    run.all[0].verdict = Some(false);
    let again = |times, lasts: u32| Step::OutAgain {
        number: 1,
        times,
        lasts: lasts * MS,
    };
    assert_eq!(run.at(60_000), [again(2, 2_000)]);
    assert_eq!(run.at(62_000), [probing(62_000)]);
    run.all[0].verdict = Some(false);
    assert_eq!(run.at(62_001), [again(3, 4_000)]);
    assert_eq!(run.at(66_001), [probing(66_001)]);
    run.all[0].verdict = Some(true);
    let back = Step::Returned {
        number: 1,
        why: Back::Probed,
        was_out: 66_002 * MS,
    };
    assert_eq!(run.at(66_002), [back]);
    assert_eq!((run.out(), run.due()), (vec![], None));
    // Ten seconds forget one of three.
    run.all[0].record = down();
    run.at(77_000);
    assert_eq!(run.due(), Some(81_000));
    assert_eq!(run.at(81_000), [probing(4_000)], "it was in the set before");
}

// CONTRACT O3
#[tokio::test(start_paused = true)]
async fn what_an_endpoint_did_before_its_ejection_does_not_eject_it_again() {
    let mut run = Run::new(&[down(), good(), good()]);
    run.pass();
    run.at(1_000);
    run.all[0].verdict = Some(true);
    assert_eq!(run.at(1_001).len(), 1, "back, and not out again");
    assert_eq!(run.out(), [0; 0]);
}

// CONTRACT O5
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_stays_keeps_its_ejection_and_a_removed_one_loses_it() {
    let mut run = Run::new(&[down(), good(), good()]);
    run.pass();
    let other = run.all.pop().unwrap();
    run.at(100);
    assert_eq!(run.out(), [1]);
    let removed = run.all.remove(0);
    run.ejections.forget(1);
    run.all.push(other);
    assert_eq!(run.at(200), []);
    assert_eq!(run.due(), None);
    run.all.push(Seen {
        record: Record::default(),
        ..removed
    });
    assert_eq!(run.at(300), []);
    assert_eq!(run.out(), [0; 0]);
}

// CONTRACT O1
#[tokio::test(start_paused = true)]
async fn one_that_fails_in_a_row_is_ejected_by_its_rate_if_the_others_failed_meanwhile() {
    let mut run = Run::new(&[record(20, 20, 20), record(0, 1, 100)]);
    run.all[1].record.last_failure = Some(1_050);
    let steps = run.pass();
    assert!(
        matches!(&steps[..], [Step::Ejected(Ejected { why: Why::Rate, .. })]),
        "{steps:?}"
    );
}
