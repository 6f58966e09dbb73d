//! A million header maps that no honest peer sends, through everything that reads what a peer sent:
//! nothing panics, and what is said of them is right.
//!
//! Most are valid ones that were mutated; noise alone does not get past the first check of a
//! parser. `HOSTILE_SEED=7 cargo test --test hostile` runs one seed alone; a failed input is
//! printed.
#![cfg(test)]

mod check;
#[path = "../wire/at_most_once/rng.rs"]
mod dice;
mod generate;
mod protobuf;
mod reference;
mod timeouts;

use std::fmt::Debug;
use std::thread;

use dice::Dice;
use generate::Input;

/// A thread each.
const SEEDS: [u64; 4] = [1, 2, 3, 4];
const INPUTS: usize = 250_000;

fn seeds() -> Vec<u64> {
    match std::env::var("HOSTILE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => SEEDS.to_vec(),
    }
}

/// Says what it holds if the test fails meanwhile.
struct Shown<'a, T: Debug>(&'a T);

impl<T: Debug> Drop for Shown<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("with {:?}", self.0);
        }
    }
}

fn run(seed: u64) {
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for _ in 0..INPUTS {
        let input = Input::random(&mut dice);
        let _shown = Shown(&input);
        check::all(&input);
    }
}

// CONTRACT D1, H1, H2, H5, P1, P3, P7, P9, R16, DESIGN decision 17
#[test]
fn a_million_hostile_headers_make_nothing_panic_and_nothing_wrong() {
    thread::scope(|scope| {
        for seed in seeds() {
            scope.spawn(move || run(seed));
        }
    });
}
