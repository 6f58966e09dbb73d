//! Any percentage, any window, any floor, and anything that can happen to it. CONTRACT T9, T10.

use std::time::Duration;

use grpc_resilience::budget::PercentageBudget;
use grpc_resilience::call::{Budget, Permit};
use proptest::prelude::*;
use tokio::runtime::Builder;
use tokio::time::advance;

use super::reference::Reference;
use super::{DAY, RETRY};

#[derive(Clone, Debug)]
enum Event {
    Calls(u16),
    Ask,
    /// The attempt of a permit that is held, counted from the oldest.
    Start(usize),
    /// That permit is dropped.
    Drop(usize),
    Wait(Duration),
}

fn events(window: Duration) -> impl Strategy<Value = Vec<Event>> {
    let window = u64::try_from(window.as_nanos()).unwrap();
    let wait = prop_oneof![
        0..window / 10,
        0..window * 2,
        Just(window / 20),
        0..u64::try_from(60 * DAY.as_nanos()).unwrap(),
    ];
    let event = prop_oneof![
        3 => prop_oneof![1..4_u16, 1..200_u16].prop_map(Event::Calls),
        8 => Just(Event::Ask),
        2 => any::<usize>().prop_map(Event::Start),
        2 => any::<usize>().prop_map(Event::Drop),
        3 => wait.prop_map(|nanos| Event::Wait(Duration::from_nanos(nanos))),
    ];
    proptest::collection::vec(event, 0..120)
}

fn share() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0),
        1..1_000_u32,
        1_000..100_000_u32,
        100_000..=1_000_000_u32
    ]
}

fn window() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::from_secs(10)),
        (1_000_000..100_000_000_000_u64).prop_map(Duration::from_nanos),
    ]
}

fn floor() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1..20_u32]
}

/// Removes one of the permits that are held, with its number.
fn take<T>(held: &mut Vec<T>, number: usize) -> Option<T> {
    let number = number.checked_rem(held.len())?;
    Some(held.remove(number))
}

/// Lets it all happen to both.
async fn run(budget: &PercentageBudget, reference: &mut Reference, events: &[Event]) {
    let mut now = Duration::ZERO;
    let mut granted = 0;
    let mut held: Vec<(usize, Permit)> = Vec::new();
    for event in events {
        match *event {
            Event::Calls(calls) => {
                for _ in 0..calls {
                    budget.call_started();
                    reference.call(now);
                }
            }
            Event::Ask => {
                let permit = budget.permit(RETRY);
                assert_eq!(permit.is_some(), reference.ask(now), "at {now:?}");
                if let Some(permit) = permit {
                    held.push((granted, permit));
                    granted += 1;
                }
            }
            Event::Start(number) => {
                if let Some((_, permit)) = take(&mut held, number) {
                    permit.start();
                }
            }
            Event::Drop(number) => {
                if let Some((attempt, permit)) = take(&mut held, number) {
                    drop(permit);
                    reference.give_back(attempt);
                }
            }
            Event::Wait(time) => {
                advance(time).await;
                now += time;
            }
        }
    }
    reference.assert_law();
}

proptest! {
    #[test]
    fn it_grants_what_a_budget_that_keeps_every_event_grants_and_no_span_of_time_exceeds_its_bound(
        share in share(),
        floor in floor(),
        (window, events) in window().prop_flat_map(|window| (Just(window), events(window))),
    ) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let budget = PercentageBudget::new(f64::from(share) / 1_000.0).unwrap();
            let budget = budget.floor(floor).window(window).unwrap();
            let mut reference = Reference::new(share.into(), window, floor);
            run(&budget, &mut reference, &events).await;
        });
    }
}
