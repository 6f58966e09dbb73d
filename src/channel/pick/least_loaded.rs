use super::random::below;
use super::{Call, Picker, Ready};
use crate::kernel::rng;

/// Picks the less loaded of two random endpoints. The default.
///
/// - **Load** is the number of calls in flight; if both have as many, the one whose calls took less
///   time lately is picked.
/// - **A failed call** counts as one more that is still in flight, half as much every second, so an
///   endpoint that fails fast is not taken for one that is free. Failed are lost connections,
///   refused or reset streams, and answers of UNAVAILABLE, RESOURCE_EXHAUSTED, INTERNAL, UNKNOWN,
///   DATA_LOSS and DEADLINE_EXCEEDED.
/// - **A slow endpoint** is tried again: its latency counts half as much every second without a
///   call, and one pick in 64 goes to any endpoint.
/// - **A new endpoint** gets its whole share after 2 s: it has no calls in flight at first, and
///   would get all. If all are new, all have their share at once.
///
/// Two choices are enough: with more, clients that know as little agree on one endpoint and
/// overload it (gRFC A48 has the same default).
///
/// ```
/// use grpc_resilience::channel::pick::LeastLoaded;
///
/// let picker = LeastLoaded::new();
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct LeastLoaded;

impl LeastLoaded {
    /// A picker by load.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Picker for LeastLoaded {
    #[inline]
    fn pick(&self, ready: &Ready<'_>, call: &Call<'_>) -> usize {
        choose(ready, call.now, rng::bits())
    }
}

/// One pick in this number is uniform.
const UNIFORM: u64 = 64;

/// The choice that follows from these random bits.
#[inline]
fn choose(ready: &Ready<'_>, now: u64, bits: u64) -> usize {
    let count = ready.len();
    if count < 2 {
        return 0;
    }
    // 32 bits for one endpoint, 26 for the other, 6 for the uniform pick.
    let one = below(bits >> 32, count);
    if bits.is_multiple_of(UNIFORM) {
        return one;
    }
    // Never the same: of the others, the first ones keep their index.
    let other = below(bits & !(UNIFORM - 1), count - 1);
    let other = if other < one { other } else { other + 1 };
    better(ready, now, one, other)
}

#[inline]
fn better(ready: &Ready<'_>, now: u64, one: usize, other: usize) -> usize {
    let (Some(first), Some(second)) = (ready.load(one), ready.load(other)) else {
        return 0;
    };
    let ramps = (first.ramp(now), second.ramp(now));
    if ramps != (None, None)
        && let Some(chosen) = thinned(ramps, one, other)
    {
        return chosen;
    }
    let (load, other_load) = (first.weighed(now), second.weighed(now));
    let is_first = if load == other_load {
        first.latency_at_pick(now) <= second.latency_at_pick(now)
    } else {
        load < other_load
    };
    if is_first { one } else { other }
}

/// A new endpoint takes part as often as its weight says, beside one of more weight.
#[cold]
fn thinned(ramps: (Option<u32>, Option<u32>), one: usize, other: usize) -> Option<usize> {
    let (weight, other_weight) = (ramps.0.unwrap_or(256), ramps.1.unwrap_or(256));
    let drawn = below(rng::bits() >> 32, weight.max(other_weight) as usize);
    let stays = |weight: u32| drawn < weight as usize;
    match (stays(weight), stays(other_weight)) {
        (true, false) => Some(one),
        (false, true) => Some(other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::advance;

    use super::super::ready::tests::{LATER, endpoints};
    use super::*;
    use crate::channel::eject::Blame;
    use crate::channel::endpoint::ReadyEndpoint;
    use crate::channel::load::Ended;

    const MS: u64 = 1_000_000;

    /// How many of 20,000 picks each endpoint gets.
    fn shares(all: &[Arc<ReadyEndpoint>], now: u64) -> Vec<u32> {
        let ready = Ready::new(all, &[]);
        let mut picked = vec![0; all.len()];
        for _ in 0..20_000 {
            picked[choose(&ready, now, rng::bits())] += 1;
        }
        picked
    }

    fn fill(endpoint: &ReadyEndpoint, calls: u32) {
        (0..calls).for_each(|_| endpoint.load().begin(LATER));
    }

    proptest! {
        // CONTRACT L1, L3
        #[test]
        fn one_of_two_distinct_endpoints_is_picked_and_the_less_loaded_of_them(
            loads in prop::collection::vec(0_u32..5, 2..20),
            bits: u64,
        ) {
            let all = endpoints(loads.len());
            all.iter().zip(&loads).for_each(|(endpoint, calls)| fill(endpoint, *calls));
            let ready = Ready::new(&all, &[]);
            let picked = choose(&ready, LATER, bits);
            prop_assert!(picked < all.len());
            let most = loads.iter().max().unwrap();
            let is_only_one = loads.iter().filter(|load| *load == most).count() == 1;
            if !bits.is_multiple_of(UNIFORM) && is_only_one {
                prop_assert_ne!(loads[picked], *most, "never the most loaded");
            }
        }
    }

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn the_endpoint_with_fewer_calls_in_flight_is_picked_but_for_one_pick_in_64() {
        let all = endpoints(2);
        fill(&all[0], 3);
        fill(&all[1], 2);
        let shares = shares(&all, LATER);
        // 1 of 128: 156, with six deviations of 12.
        assert!((80..=232).contains(&shares[0]), "{shares:?}");
    }

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn a_tie_goes_to_the_faster_one_until_its_slowness_is_forgotten() {
        let all = endpoints(2);
        advance(Duration::from_secs(1_000)).await;
        let now = || all[0].load().now();
        for (endpoint, millis) in all.iter().zip([5, 500]) {
            endpoint.load().answered(now() - millis * MS, now());
        }
        let soon = shares(&all, now());
        assert!(soon[1] < 300, "{soon:?}");
        // The fast one goes on; the slow one is not called, and counts for less and less.
        advance(Duration::from_secs(10)).await;
        all[0].load().answered(now() - 5 * MS, now());
        let later = shares(&all, now());
        assert!(later[0] < 300, "{later:?}");
    }

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_failed_is_not_taken_for_one_that_is_free() {
        let all = endpoints(2);
        advance(Duration::from_secs(1_000)).await;
        let now = || all[0].load().now();
        all[0].load().begin(now());
        all[0].load().begin(now());
        for _ in 0..3 {
            all[1].load().begin(now());
            all[1].load().end(now(), false, Ended::Failed(Blame::None));
        }
        let soon = shares(&all, now());
        assert!(soon[1] < 300, "{soon:?}");
        advance(Duration::from_secs(2)).await;
        let later = shares(&all, now());
        assert!(later[0] < 300, "{later:?}");
    }

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn a_new_endpoint_gets_its_share_by_and_by_unless_all_are_new() {
        let all = endpoints(3);
        for endpoint in &all {
            endpoint.load().set_ready(true);
        }
        let fresh = shares(&all, 0);
        assert!(fresh.iter().all(|share| *share > 5_000), "{fresh:?}");
        advance(Duration::from_secs(60)).await;
        all[2].load().set_ready(true);
        let now = all[2].load().now();
        // In the tie the first of the pair is picked, so it has no more than its weight.
        let share = |shares: Vec<u32>| f64::from(shares[2]) / 20_000.0;
        let at = |millis: u64| share(shares(&all, now + millis * MS));
        assert!(at(0) < 0.05, "{}", at(0));
        let half = at(1_000);
        assert!((0.12..0.27).contains(&half), "{half}");
        assert!(at(2_000) > 0.3, "{}", at(2_000));
    }

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn of_two_new_endpoints_the_newer_one_gets_less() {
        let all = endpoints(2);
        all[0].load().set_ready(true);
        advance(Duration::from_millis(300)).await;
        all[1].load().set_ready(true);
        // Weights of 38 and 8 of 256: the newer one takes part in a fifth of the picks, and is
        // picked in half of those.
        let shares = shares(&all, all[1].load().now());
        assert!((1_500..3_000).contains(&shares[1]), "{shares:?}");
    }

    // CONTRACT L3
    #[tokio::test(start_paused = true)]
    async fn a_new_endpoint_is_not_given_the_calls_that_weigh_on_an_old_one() {
        let all = endpoints(2);
        advance(Duration::from_secs(60)).await;
        all[1].load().set_ready(true);
        fill(&all[0], 3);
        let shares = shares(&all, all[1].load().now());
        // It takes part in a 32nd of the picks.
        assert!(shares[1] < 1_500, "{shares:?}");
    }
}
