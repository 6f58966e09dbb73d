use super::{Call, Picker, Ready};
use crate::kernel::rng;

/// Picks a random endpoint, each with the same probability.
///
/// ```
/// use grpc_resilience::channel::pick::Random;
///
/// let picker = Random::new();
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Random;

impl Random {
    /// A random picker.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Picker for Random {
    #[inline]
    fn pick(&self, ready: &Ready<'_>, _call: &Call<'_>) -> usize {
        below(rng::bits() >> 32, ready.len())
    }
}

/// A number below `most`, of 32 random bits.
#[inline]
pub(super) fn below(bits: u64, most: usize) -> usize {
    let bits = bits & u64::from(u32::MAX);
    usize::try_from(bits.wrapping_mul(most as u64) >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::ready::tests::{LATER, endpoints, head};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_endpoint_is_as_likely() {
        let (all, head) = (endpoints(5), head());
        let ready = Ready::new(&all, &[]);
        let mut picked = [0_u32; 5];
        for _ in 0..50_000 {
            let call = Call::new(&head, None, LATER);
            picked[Random::new().pick(&ready, &call)] += 1;
        }
        // Six deviations of 90 each.
        for count in picked {
            assert!((9_460..=10_540).contains(&count), "{picked:?}");
        }
    }

    #[test]
    fn random_bits_never_lead_beyond() {
        assert_eq!(below(u64::MAX, 3), 2);
        assert_eq!(below(0, 3), 0);
        assert_eq!(below(u64::MAX, 1), 0);
    }
}
