//! A6's bucket beside a slow one, whatever happens to both. CONTRACT T1, T2, T3, T4, T8, T9.

use grpc_resilience::budget::TokenBucket;
use grpc_resilience::call::{AttemptKind, Budget, BudgetSnapshot, Permit};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Event {
    Success,
    Failure,
    Ask(AttemptKind),
    /// The attempt of a permit that is held, counted from the oldest.
    Start(usize),
    /// That permit is dropped.
    Drop(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![Just(AttemptKind::Retry), Just(AttemptKind::Hedge)];
    prop_oneof![
        3 => Just(Event::Success),
        3 => Just(Event::Failure),
        4 => kind.prop_map(Event::Ask),
        1 => any::<usize>().prop_map(Event::Start),
        1 => any::<usize>().prop_map(Event::Drop),
    ]
}

/// A6 as it reads, in thousandths of a token, and in numbers that have no end.
struct Reference {
    max: i128,
    ratio: i128,
    tokens: i128,
    spent: [u64; 2],
    denied: [u64; 2],
}

impl Reference {
    fn new(max_tokens: u32, ratio: u32) -> Self {
        let max = 1_000 * i128::from(max_tokens);
        Self {
            max,
            ratio: ratio.into(),
            tokens: max,
            spent: [0; 2],
            denied: [0; 2],
        }
    }

    fn gain(&mut self, tokens: i128) {
        self.tokens = (self.tokens + tokens).clamp(0, self.max);
    }

    fn ask(&mut self, kind: AttemptKind) -> bool {
        let goes = 2 * self.tokens > self.max;
        let counts = if goes {
            &mut self.spent
        } else {
            &mut self.denied
        };
        counts[of(kind)] += 1;
        goes
    }

    fn snapshot(&self) -> BudgetSnapshot {
        let tokens = f64::from(i32::try_from(self.tokens).unwrap()) / 1_000.0;
        [AttemptKind::Retry, AttemptKind::Hedge].into_iter().fold(
            BudgetSnapshot::new(tokens),
            |snapshot, kind| {
                snapshot
                    .with_spent(kind, self.spent[of(kind)])
                    .with_denied(kind, self.denied[of(kind)])
            },
        )
    }
}

fn of(kind: AttemptKind) -> usize {
    usize::from(kind == AttemptKind::Hedge)
}

/// Removes one of the permits that are held.
fn take<T>(held: &mut Vec<T>, number: usize) -> Option<T> {
    let number = number.checked_rem(held.len())?;
    Some(held.remove(number))
}

proptest! {
    #[test]
    fn it_does_what_a6_says_after_any_events_and_counts_them_by_kind(
        max_tokens in prop_oneof![1..=4_u32, 1..=1_000_u32],
        ratio in prop_oneof![1..1_000_u32, 1_000..2_000_000_u32],
        events in proptest::collection::vec(event(), 0..300),
    ) {
        let bucket = TokenBucket::new(max_tokens, f64::from(ratio) / 1_000.0).unwrap();
        let mut reference = Reference::new(max_tokens, ratio);
        let mut held: Vec<(AttemptKind, Permit)> = Vec::new();
        for event in events {
            match event {
                Event::Success => {
                    bucket.succeeded();
                    reference.gain(reference.ratio);
                }
                Event::Failure => {
                    bucket.failed();
                    reference.gain(-1_000);
                }
                Event::Ask(kind) => {
                    let permit = bucket.permit(kind);
                    prop_assert_eq!(permit.is_some(), reference.ask(kind));
                    held.extend(permit.map(|permit| (kind, permit)));
                }
                Event::Start(number) => {
                    if let Some((_, permit)) = take(&mut held, number) {
                        permit.start();
                    }
                }
                Event::Drop(number) => {
                    if let Some((kind, permit)) = take(&mut held, number) {
                        drop(permit);
                        reference.spent[of(kind)] -= 1;
                    }
                }
            }
            prop_assert_eq!(bucket.snapshot(), reference.snapshot());
        }
    }
}
