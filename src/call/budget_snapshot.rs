use std::fmt;

use super::AttemptKind;
use super::attempt_kind::PerKind;

/// The content and the counters of a budget at one moment.
///
/// The figures are read one after another: each is exact, but while calls run their sum may be off
/// by the changes in between.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BudgetSnapshot {
    tokens: Option<f64>,
    spent: PerKind<u64>,
    denied: PerKind<u64>,
}

impl BudgetSnapshot {
    /// A snapshot with `tokens` left and all counters at zero. [`Default`] is the snapshot of a
    /// budget that keeps no account.
    #[must_use]
    pub fn new(tokens: f64) -> Self {
        Self {
            tokens: Some(tokens),
            ..Self::default()
        }
    }

    /// Sets how many extra attempts of a kind were spent.
    #[must_use]
    pub fn with_spent(mut self, kind: AttemptKind, attempts: u64) -> Self {
        *self.spent.of_mut(kind) = attempts;
        self
    }

    /// Sets how many extra attempts of a kind were refused.
    #[must_use]
    pub fn with_denied(mut self, kind: AttemptKind, refusals: u64) -> Self {
        *self.denied.of_mut(kind) = refusals;
        self
    }

    /// The remaining tokens; `None` if the budget keeps no account.
    ///
    /// For A6's bucket: its tokens. For a percentage budget: the extra attempts that the calls of
    /// its window still pay for, without its floor.
    #[must_use]
    pub fn tokens(&self) -> Option<f64> {
        self.tokens
    }

    /// The extra attempts that were permitted, without refunded permits.
    #[must_use]
    pub fn spent(&self, kind: AttemptKind) -> u64 {
        *self.spent.of(kind)
    }

    /// How often an extra attempt was refused.
    #[must_use]
    pub fn denied(&self, kind: AttemptKind) -> u64 {
        *self.denied.of(kind)
    }
}

impl fmt::Display for BudgetSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tokens {
            Some(tokens) => write!(f, "{tokens:.3} tokens")?,
            None => f.write_str("unknown tokens")?,
        }
        let counts =
            AttemptKind::ALL.map(|kind| (kind.name(), self.spent(kind), self.denied(kind)));
        let mut asked = counts.iter().filter(|it| (it.1, it.2) != (0, 0)).peekable();
        if asked.peek().is_none() {
            return f.write_str(", no extra attempts so far");
        }
        asked.try_for_each(|(name, spent, denied)| {
            write!(f, ", {name}: {spent} spent, {denied} denied")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_reads_as_one_line() {
        let snapshot = BudgetSnapshot::new(2.5)
            .with_spent(AttemptKind::Retry, 7)
            .with_denied(AttemptKind::Hedge, 1);
        assert_eq!(
            snapshot.to_string(),
            "2.500 tokens, retry: 7 spent, 0 denied, hedge: 0 spent, 1 denied"
        );
        assert_eq!(
            BudgetSnapshot::default().to_string(),
            "unknown tokens, no extra attempts so far"
        );
    }

    #[test]
    fn a_kind_of_attempt_that_nobody_asked_for_is_left_out() {
        let snapshot = BudgetSnapshot::new(300.0).with_spent(AttemptKind::Retry, 14);
        let text = "300.000 tokens, retry: 14 spent, 0 denied";
        assert_eq!(snapshot.to_string(), text);
    }
}
