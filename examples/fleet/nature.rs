//! How a server behaves.

use std::time::Duration;

/// How a server behaves: by default it answers at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nature {
    /// How long an answer takes.
    pub delay: Duration,
    /// The share of the answers that are UNAVAILABLE, 0 to 1.
    pub failing: f64,
}

impl Nature {
    /// Answers after a delay.
    #[must_use]
    pub fn slow(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }

    /// Fails this share of the answers.
    #[must_use]
    pub fn failing(failing: f64) -> Self {
        Self {
            failing,
            ..Self::default()
        }
    }

    /// Whether an answer fails, by its number.
    pub(super) fn fails(self, number: u32) -> bool {
        // The last step of SplitMix64: neighbours have nothing in common.
        let mut bits = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = u32::try_from(bits >> 32).unwrap_or(u32::MAX);
        f64::from(share) < self.failing * f64::from(u32::MAX)
    }
}
