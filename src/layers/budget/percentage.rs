use std::sync::Arc;
use std::time::Duration;

use crate::call::{AttemptKind, Budget, BudgetSnapshot, Permit};

use super::InvalidBudget;
use super::account::{ATTEMPT, Account};
use super::decimals::thousandths;
use super::ledger::Ledger;

const MAX_PERCENT: f64 = 1_000.0;
const MIN_WINDOW: Duration = Duration::from_millis(1);

/// Permits extra attempts up to a percentage of the calls, and a floor of some each second.
///
/// Each call pays in its percentage of an extra attempt, which lasts for a window, and each extra
/// attempt takes one. If calls have not paid for one, the floor may grant it, evenly spaced, so
/// that a caller with few calls may retry too. A permit whose attempt never starts is returned.
///
/// In any span of time, the extra attempts are at most: the percentage of the calls made in it and
/// in the window before it, plus the floor's rate times its length, plus one. That is exact for
/// every percentage, under concurrency and after any idle time: all sums are integers under one
/// lock, held for a constant number of steps. At the start only the floor is available, without a
/// burst (CONTRACT T9, T10).
///
/// The bound applies to the moment at which an attempt is granted, directly after the failure
/// before it. The attempt is sent a backoff later, or at the time of the server's hint: a server
/// that tells many calls to return at one moment gets them all then.
///
/// | | default | reason |
/// |---|---|---|
/// | percentage | 20 % | limits the extra load of an outage to a fifth, after one window's rest |
/// | window | 10 s | covers a failover; older calls do not justify retries now |
/// | floor | 10 attempts a second | harmless for a server, enough for a caller with few calls |
///
/// Finagle and tower have these figures too. The outcome of calls does not matter; use
/// [`TokenBucket`](super::TokenBucket) for a budget that a healthy server refills. A slot of the
/// window holds 2^64 units, and an attempt costs 100,000; units beyond that are lost.
#[derive(Debug)]
pub struct PercentageBudget {
    /// Units that a call pays in: the percentage in thousandths.
    share: u32,
    window: Duration,
    floor: u32,
    account: Arc<Account>,
    ledger: Ledger,
}

impl PercentageBudget {
    /// A budget of this percentage of calls, from 0 to 1000.
    ///
    /// The percentage has three decimals; further ones are cut off.
    ///
    /// # Errors
    ///
    /// [`InvalidBudget::Percent`] if it is out of range, or between 0 and 0.001.
    pub fn new(percent: f64) -> Result<Self, InvalidBudget> {
        if percent == 0.0 {
            return Ok(Self::default().with(|budget| budget.share = 0));
        }
        let share = thousandths(percent).filter(|_| percent <= MAX_PERCENT);
        let share = share.ok_or(InvalidBudget::Percent(percent))?;
        Ok(Self::default().with(|budget| budget.share = share))
    }

    /// Sets how long a call counts. Default: 10 s. Call it before the budget is used, because it
    /// resets the budget.
    ///
    /// A call counts for at least 95 % of the window and never longer.
    ///
    /// # Errors
    ///
    /// [`InvalidBudget::Window`] if it is less than 1 ms.
    pub fn window(self, window: Duration) -> Result<Self, InvalidBudget> {
        if window < MIN_WINDOW {
            return Err(InvalidBudget::Window(window));
        }
        Ok(self.with(|budget| budget.window = window))
    }

    /// Sets the extra attempts a second that are granted independently of calls, evenly spaced; 0
    /// is none. Default: 10. Call it before the budget is used, because it resets the budget.
    #[must_use]
    pub fn floor(self, per_second: u32) -> Self {
        self.with(|budget| budget.floor = per_second)
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.account = Arc::new(Account::new(self.window, self.floor));
        self.ledger = Ledger::new();
        self
    }
}

/// 20 % of the calls of 10 s, and a floor of 10 a second.
impl Default for PercentageBudget {
    fn default() -> Self {
        let (window, floor) = (Duration::from_secs(10), 10);
        Self {
            share: 20_000,
            window,
            floor,
            account: Arc::new(Account::new(window, floor)),
            ledger: Ledger::new(),
        }
    }
}

impl Budget for PercentageBudget {
    fn call_started(&self) {
        self.account.pay_in(self.share);
    }

    fn succeeded(&self) {}

    fn failed(&self) {}

    fn permit(&self, kind: AttemptKind) -> Option<Permit> {
        let Some(paid) = self.account.pay_attempt() else {
            self.ledger.denied(kind);
            return None;
        };
        self.ledger.granted(kind);
        let (account, ledger) = (Arc::clone(&self.account), self.ledger.clone());
        Some(Permit::refundable(Arc::new(move || {
            account.pay_back(&paid);
            ledger.given_back(kind);
        })))
    }

    fn snapshot(&self) -> BudgetSnapshot {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a figure to look at; it is exact up to 90 billion attempts"
        )]
        let units = self.account.units() as f64;
        self.ledger.snapshot(units / f64::from(ATTEMPT))
    }
}

#[cfg(all(test, grpc_resilience_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Longer than any model runs, so that no slot expires.
    const CENTURY: Duration = Duration::from_secs(3_600 * 24 * 365 * 100);

    fn half() -> Arc<PercentageBudget> {
        let half = PercentageBudget::new(50.0).unwrap().floor(0);
        Arc::new(half.window(CENTURY).unwrap())
    }

    // CONTRACT T9
    #[test]
    fn loom_what_is_paid_for_once_is_granted_once() {
        loom::model(|| {
            let budget = half();
            budget.call_started();
            budget.call_started();
            let other = {
                let budget = Arc::clone(&budget);
                thread::spawn(move || budget.permit(AttemptKind::Hedge).map(Permit::start))
            };
            let one = budget.permit(AttemptKind::Retry).map(Permit::start);
            let other = other.join().unwrap();
            assert!(one.is_some() ^ other.is_some());
            assert_eq!(budget.snapshot().tokens(), Some(0.0));
        });
    }

    // CONTRACT T9
    #[test]
    fn loom_no_deposit_and_no_refund_is_lost() {
        loom::model(|| {
            let budget = half();
            budget.call_started();
            let other = {
                let budget = Arc::clone(&budget);
                thread::spawn(move || {
                    budget.call_started();
                    drop(budget.permit(AttemptKind::Retry));
                })
            };
            let spent = budget.permit(AttemptKind::Retry).map(Permit::start);
            other.join().unwrap();
            let snapshot = budget.snapshot();
            let left = if spent.is_some() { 0.0 } else { 1.0 };
            assert_eq!(snapshot.tokens(), Some(left));
            assert_eq!(
                snapshot.spent(AttemptKind::Retry),
                u64::from(spent.is_some())
            );
        });
    }
}
