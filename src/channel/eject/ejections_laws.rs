use proptest::prelude::*;

use super::super::rules::tests::rules;
use super::tests::{down, good, poor};
use super::*;

fn seen() -> impl Strategy<Value = Seen> {
    let record = prop_oneof![
        Just(good()),
        Just(down()),
        Just(poor()),
        Just(Record::default()),
    ];
    let verdict = prop_oneof![Just(None), any::<bool>().prop_map(Some)];
    (1_u64..8, 0..4_u8, record, verdict).prop_map(|(number, ready, record, verdict)| Seen {
        number,
        is_ready: ready > 1,
        is_down: ready == 1,
        was_ready: ready > 0,
        record,
        verdict,
    })
}

proptest! {
    // CONTRACT O1, O4, L8
    #[test]
    fn whatever_happens_at_most_half_are_out_and_one_that_is_ready_is_in(
        rounds in prop::collection::vec((prop::collection::vec(seen(), 0..8), 0_u64..3_000), 1..40),
        unit in 0.0..1.0_f64,
    ) {
        let mut ejections = Ejections::new(rules());
        let mut now = Instant::now();
        for (mut all, pause) in rounds {
            all.sort_by_key(|it| it.number);
            all.dedup_by_key(|it| it.number);
            now += Duration::from_millis(pause);
            for number in 1..8 {
                if !all.iter().any(|it| it.number == number) {
                    ejections.forget(number);
                }
            }
            let before: Vec<bool> = all.iter().map(|it| ejections.has(it.number)).collect();
            let steps = ejections.pass(&all, now, 2_000, || unit);
            let is_out = |it: &&Seen| ejections.has(it.number) && !it.is_down;
            let out = all.iter().filter(is_out).count();
            let connected = all.iter().filter(|it| it.was_ready).count();
            prop_assert!(out <= rules().most_of(connected));
            let ready: Vec<_> = all.iter().filter(|it| it.is_ready).collect();
            let used = ready.iter().filter(|it| ejections.lets_in(it.number)).count();
            prop_assert!(ready.is_empty() || used > 0);
            for (seen, was_out) in all.iter().zip(before) {
                let is_new = ejections.has(seen.number) && !was_out;
                let ejected = steps.iter().any(
                    |step| matches!(step, Step::Ejected(it) if it.number == seen.number),
                );
                prop_assert_eq!(is_new, ejected);
                // Another ready one works.
                let works = |it: &&&Seen| {
                    let answers = it.record == good() || it.record == poor();
                    answers && !ejections.has(it.number)
                };
                prop_assert!(!is_new || ready.iter().filter(works).count() > 0);
            }
            prop_assert!(ejections.due().is_none_or(|due| due > now));
        }
    }
}
