//! 10,000 cuts at random frames, in each mode, over each channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use grpc_resilience::streams::{Event, OnEnd};
use tonic::Status;

use crate::net::{Cut, Net};
use crate::numbers::{Asked, Service, Step, Steps};

const CUTS: usize = 10_000;

/// Draws numbers by splitmix64.
struct Random(AtomicU64);

impl Random {
    fn below(&self, limit: u64) -> u64 {
        let seed = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Whether the number has a token: all, or about a third.
#[derive(Clone, Copy, PartialEq)]
enum Tokens {
    All,
    Some,
}

impl Tokens {
    fn of(self, number: u32) -> Step {
        match self {
            Self::Some if number.wrapping_mul(2_654_435_761) >> 16 & 3 != 0 => Step::Part(number),
            _ => Step::Token(number),
        }
    }
}

/// Counts without end, a few numbers to a frame, and breaks off now and then.
fn counting(tokens: Tokens, random: Arc<Random>) -> Service {
    Service::new(move |asked: Asked| {
        let random = Arc::clone(&random);
        let mut number = asked.first();
        let mut pauses = false;
        let mut left = random.below(40);
        let steps = std::iter::from_fn(move || {
            pauses = !pauses && random.below(3) > 0;
            if pauses {
                return Some(Step::Yield);
            }
            if left == 0 {
                return match random.below(3) {
                    0 => None,
                    1 => Some(Step::Fail(Status::unavailable("restarting"))),
                    _ => Some(Step::Hang),
                };
            }
            left -= 1;
            number += 1;
            Some(tokens.of(number - 1))
        });
        Ok(Box::new(steps) as Steps)
    })
}

/// The connections of this seed: each is cut after up to 20 frames.
fn cut(random: Arc<Random>) -> Cut {
    Arc::new(move |_| Some(usize::try_from(random.below(20)).unwrap() + 1))
}

async fn is_whole(tokens: Tokens, holds: bool, seed: u64) {
    let random = Arc::new(Random(AtomicU64::new(seed)));
    let service = counting(tokens, Arc::clone(&random));
    let net = Net::cut(&service, cut(random));
    let builder = crate::numbers(net.channel())
        .on_end(OnEnd::Reopen)
        .idle_timeout(crate::ms(2_000));
    let builder = if holds {
        builder.hold_until_token()
    } else {
        builder
    };
    let mut stream = builder.build().unwrap();
    let report = stream.report();
    let (mut last, mut opens, mut repeats) = (0, 0, 0);
    while net.passed.lock().unwrap().cuts < CUTS {
        let token = stream.token().copied();
        let Some(Ok(Event::Item(number))) = stream.next().await else {
            panic!("it never ends: {report}");
        };
        let is_new_call = report.opens() != opens;
        opens = report.opens();
        // CONTRACT S7: only what has no token of its own comes again, and only after a break.
        let expected = if is_new_call && !holds {
            token.unwrap_or(0) + 1
        } else {
            last + 1
        };
        assert_eq!(number.index, expected, "after {last}: {report}");
        repeats += u32::from(expected <= last);
        last = number.index;
    }
    let cuts = net.passed.lock().unwrap().cuts;
    println!("{cuts} cuts, {opens} openings, {last} numbers, {repeats} of them repeated");
    assert!(opens as usize > CUTS / 4, "{report}");
    assert_eq!(repeats > 0, tokens == Tokens::Some && !holds);
    assert_eq!(report.gaps(), 0);
    let asked = service.seen.asked();
    assert!(asked.iter().any(Option::is_some));
}

// CONTRACT S7, S1
#[transports::test(start_paused = true)]
async fn no_cut_loses_or_repeats_a_message_that_has_a_token() {
    is_whole(Tokens::All, false, 1).await;
}

// CONTRACT S7, S1
#[transports::test(start_paused = true)]
async fn a_cut_repeats_only_what_came_since_the_last_token() {
    is_whole(Tokens::Some, false, 2).await;
}

// CONTRACT S7, S1
#[transports::test(start_paused = true)]
async fn no_cut_loses_or_repeats_what_is_held_until_a_token() {
    is_whole(Tokens::Some, true, 3).await;
}
