use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

use crate::call::{CallOptions, Context, Deadline};
use crate::classify::{Progress, Reason, Verdict};
use crate::grpc::{Code, Status};

use super::{Outcome, Plan, Policy};

/// The status of such an attempt without the parts that are not known beforehand: the length of the
/// timeout, and the phase in which it passes.
static TIMED_OUT: LazyLock<Status> =
    LazyLock::new(|| Status::new(Code::DeadlineExceeded, "the attempt's timeout passed"));

/// Whether no attempt can follow the first one, which begins now, if its own timeout ends it
/// (CONTRACT D12).
pub(crate) fn is_first_the_last(context: &Context, policy: &dyn Policy, now: Instant) -> bool {
    Outcome::timed_out(Some(context), now).is_last(policy)
}

impl<'a> Outcome<'a> {
    /// The outcome of the first attempt of a call, which begins now, as if its own timeout ended it
    /// at once.
    ///
    /// The budget is ignored: it is asked after an attempt has failed, and may have refilled by
    /// then. So is the duration of the timeout, which the retry layer does not know.
    pub(super) fn timed_out(context: Option<&'a Context>, now: Instant) -> Self {
        let (progress, code) = (Progress::Reached, Code::DeadlineExceeded);
        let verdict = Verdict::new(progress, code, Reason::AttemptTimedOut);
        let options = context.map_or(CallOptions::unset(), Context::options);
        let deadline = context.and_then(Context::deadline);
        Self {
            safety: context.and_then(Context::stated_safety),
            remaining: deadline.map(|it: Deadline| it.remaining(now)),
            status: Some(&TIMED_OUT),
            // The shortest wait.
            unit: 0.0,
            ..Self::first(verdict, options)
        }
    }

    /// Whether no attempt can follow it.
    pub(super) fn is_last(&self, policy: &dyn Policy) -> bool {
        let at_once = Plan::Retry {
            after: Duration::ZERO,
            hinted: false,
        };
        let bounded = at_once.within_bounds(self, policy.assumes_idempotent());
        matches!(bounded, Plan::Stop(_)) || !policy.may_follow(self)
    }
}
