//! Which attempts the server fails. A pure decision, so that every client meets the same faults.

use std::time::Duration;

/// What the server answers UNAVAILABLE to; times are those since the load began.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Faults {
    None,
    /// Everything that arrives in this time.
    Outage {
        from: Duration,
        until: Duration,
    },
    /// This share of all attempts. Whether the second attempt of call 7 fails depends on the seed
    /// and on nothing else.
    Share {
        share: f64,
        seed: u64,
    },
}

impl Faults {
    /// `attempt` counts those of this call from 1.
    pub(crate) fn strike(self, at: Duration, call: u32, attempt: u32) -> bool {
        match self {
            Self::None => false,
            Self::Outage { from, until } => (from..until).contains(&at),
            Self::Share { share, seed } => chance(seed, call, attempt) < share,
        }
    }
}

/// From 0 to 1, evenly: splitmix64, so that a seed means the same with any version of any crate.
fn chance(seed: u64, call: u32, attempt: u32) -> f64 {
    let place = (u64::from(call) << 32) | u64::from(attempt);
    let mixed = mix(mix(seed) ^ place);
    let [a, b, c, d, ..] = mixed.to_be_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
