use crate::call::{AttemptKind, Budget, BudgetSnapshot, Permit};
use crate::kernel::sync::{AtomicU32, Ordering};

use super::InvalidBudget;
use super::decimals::{THOUSANDTHS, thousandths};
use super::ledger::Ledger;

/// Tokens are counted in thousandths: gRFC A6 gives the ratio three decimals.
const TOKEN: u32 = THOUSANDTHS;
const MAX_TOKENS: u32 = 1_000;

/// gRFC A6's retry throttling.
///
/// The bucket starts full. A failure takes one token, a success returns `token_ratio` of one, and
/// extra attempts are permitted only while more than half of the tokens are left. First attempts
/// are always permitted. The tokens are one atomic integer.
///
/// The default is 300 tokens and a ratio of 0.2. It limits an outage to about 150 extra attempts
/// and still serves a service that fails one response in ten. A6's example of 10 and 0.1 would be
/// used up by that and then fail 8 % of calls. Source: [gRFC A6][A6], throttling
/// (CONTRACT T1 to T8).
///
/// [A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
#[derive(Debug)]
pub struct TokenBucket {
    tokens: AtomicU32,
    max: u32,
    ratio: u32,
    ledger: Ledger,
}

impl TokenBucket {
    /// A full bucket of `max_tokens` (1 to 1000) that gains `token_ratio` with each success.
    ///
    /// The ratio has three decimals; further ones are cut off.
    ///
    /// # Errors
    ///
    /// [`InvalidBudget`] if either is out of range.
    pub fn new(max_tokens: u32, token_ratio: f64) -> Result<Self, InvalidBudget> {
        if max_tokens == 0 || max_tokens > MAX_TOKENS {
            return Err(InvalidBudget::MaxTokens(max_tokens));
        }
        let ratio = thousandths(token_ratio).ok_or(InvalidBudget::TokenRatio(token_ratio))?;
        Ok(Self::full(max_tokens, ratio))
    }

    fn full(max_tokens: u32, ratio: u32) -> Self {
        let max = max_tokens * TOKEN;
        Self {
            tokens: AtomicU32::new(max),
            max,
            ratio,
            ledger: Ledger::new(),
        }
    }

    /// The current number of tokens.
    #[must_use]
    pub fn tokens(&self) -> f64 {
        f64::from(self.tokens.load(Ordering::Relaxed)) / f64::from(TOKEN)
    }

    fn update(&self, change: impl Fn(u32) -> u32) {
        // The closure always returns `Some`, so this cannot fail.
        let _ = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                Some(change(tokens))
            });
    }
}

impl Default for TokenBucket {
    fn default() -> Self {
        Self::full(300, 200)
    }
}

impl Budget for TokenBucket {
    fn succeeded(&self) {
        // A full bucket is the common case and needs no write.
        if self.tokens.load(Ordering::Relaxed) < self.max {
            self.update(|tokens| tokens.saturating_add(self.ratio).min(self.max));
        }
    }

    fn failed(&self) {
        self.update(|tokens| tokens.saturating_sub(TOKEN));
    }

    fn permit(&self, kind: AttemptKind) -> Option<Permit> {
        if self.tokens.load(Ordering::Relaxed) > self.max / 2 {
            return Some(self.ledger.permit(kind));
        }
        self.ledger.denied(kind);
        None
    }

    fn snapshot(&self) -> BudgetSnapshot {
        self.ledger.snapshot(self.tokens())
    }
}

#[cfg(not(grpc_resilience_loom))]
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket(max_tokens: u32, ratio: f64) -> TokenBucket {
        TokenBucket::new(max_tokens, ratio).unwrap()
    }

    // CONTRACT T4, PEER-CASES CORE-throttled
    #[test]
    fn extra_attempts_need_more_than_half_of_the_tokens() {
        let two = bucket(2, 1.0);
        assert!(two.permit(AttemptKind::Retry).is_some());
        two.failed();
        assert!(two.permit(AttemptKind::Retry).is_none());
        two.succeeded();
        assert!(two.permit(AttemptKind::Retry).is_some());
    }

    // CONTRACT T8
    #[test]
    fn only_a6_s_ranges_are_taken() {
        assert_eq!(
            TokenBucket::new(0, 0.1).unwrap_err(),
            InvalidBudget::MaxTokens(0)
        );
        assert_eq!(
            TokenBucket::new(1_001, 0.1).unwrap_err(),
            InvalidBudget::MaxTokens(1_001)
        );
        for ratio in [0.0, -0.1, 0.000_9, f64::NAN, f64::INFINITY] {
            assert!(TokenBucket::new(10, ratio).is_err(), "{ratio}");
        }
    }

    // CONTRACT T8
    #[test]
    fn the_ratio_counts_to_three_decimals() {
        for (ratio, expected) in [
            (0.29, 290),
            (0.1, 100),
            (0.001, 1),
            (0.466_9, 466),
            (2.0, 2_000),
        ] {
            assert_eq!(bucket(10, ratio).ratio, expected);
        }
    }

    #[test]
    fn a_permit_is_spent_unless_it_is_given_back_and_a_refusal_is_counted() {
        let bucket = bucket(2, 1.0);
        let (retry, hedge) = (AttemptKind::Retry, AttemptKind::Hedge);
        bucket.permit(retry).unwrap().start();
        bucket.permit(hedge).unwrap().start();
        drop(bucket.permit(retry));
        bucket.failed();
        assert!(bucket.permit(hedge).is_none());
        let expected = BudgetSnapshot::new(1.0)
            .with_spent(retry, 1)
            .with_spent(hedge, 1)
            .with_denied(hedge, 1);
        assert_eq!(bucket.snapshot(), expected);
    }

    #[test]
    fn the_default_bounds_an_outage_to_150_extra_attempts() {
        let default = TokenBucket::default();
        let extra = (0..10_000)
            .filter(|_| {
                default.failed();
                default.permit(AttemptKind::Retry).is_some()
            })
            .count();
        assert_eq!(extra, 149);
    }

    proptest! {
        // CONTRACT T1
        #[test]
        fn tokens_stay_within_the_bucket(
            max in 1_u32..=1_000, ratio in 0.001..10.0_f64,
            events in proptest::collection::vec(any::<bool>(), 0..200),
        ) {
            let bucket = bucket(max, ratio);
            for success in events {
                if success { bucket.succeeded() } else { bucket.failed() }
                prop_assert!((0.0..=f64::from(max)).contains(&bucket.tokens()));
            }
        }
    }
}

#[cfg(all(test, grpc_resilience_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    // CONTRACT T9
    #[test]
    fn loom_no_deduction_and_no_gain_is_lost() {
        loom::model(|| {
            let bucket = Arc::new(TokenBucket::full(10, 500));
            let failing = {
                let bucket = Arc::clone(&bucket);
                thread::spawn(move || {
                    bucket.failed();
                    bucket.failed();
                })
            };
            bucket.failed();
            bucket.succeeded();
            failing.join().unwrap();
            assert_eq!(bucket.tokens.load(Ordering::Relaxed), 7_500);
        });
    }

    // CONTRACT T1, T4: two concurrent failures leave half of four tokens; at most one is retried
    #[test]
    fn loom_failures_at_once_get_no_more_attempts_than_one_after_the_other() {
        loom::model(|| {
            let bucket = Arc::new(TokenBucket::full(4, 1_000));
            let fails = |bucket: &TokenBucket| {
                bucket.failed();
                bucket.permit(AttemptKind::Retry).map(Permit::start)
            };
            let other = {
                let bucket = Arc::clone(&bucket);
                thread::spawn(move || fails(&bucket))
            };
            let one = fails(&bucket);
            let other = other.join().unwrap();
            assert!(one.is_none() || other.is_none());
            let spent = u64::from(one.is_some()) + u64::from(other.is_some());
            let expected = BudgetSnapshot::new(2.0)
                .with_spent(AttemptKind::Retry, spent)
                .with_denied(AttemptKind::Retry, 2 - spent);
            assert_eq!(bucket.snapshot(), expected);
        });
    }

    // CONTRACT T1: at both ends of the range
    #[test]
    fn loom_a_bucket_neither_runs_over_nor_below_nothing() {
        loom::model(|| {
            let bucket = Arc::new(TokenBucket::full(1, 1_500));
            let other = {
                let bucket = Arc::clone(&bucket);
                thread::spawn(move || {
                    bucket.failed();
                    bucket.succeeded();
                })
            };
            bucket.failed();
            other.join().unwrap();
            let tokens = bucket.tokens.load(Ordering::Relaxed);
            assert!(matches!(tokens, 0 | 1_000), "{tokens}");
        });
    }
}
