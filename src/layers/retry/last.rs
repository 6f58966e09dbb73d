use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

use crate::call::{CallOptions, Context, Deadline};
use crate::classify::{Progress, Reason, Verdict};
use crate::grpc::{Code, Status};

use super::{Outcome, Plan, Policy};

/// What such an attempt says, as far as it is known before: how long its timeout is, and in which
/// phase it passes, is not.
static TIMED_OUT: LazyLock<Status> =
    LazyLock::new(|| Status::new(Code::DeadlineExceeded, "the attempt's timeout passed"));

/// Whether no attempt can follow the first one, which begins now, if its own timeout ends it
/// (CONTRACT D12).
pub(crate) fn is_first_the_last(context: &Context, policy: &dyn Policy, now: Instant) -> bool {
    Outcome::timed_out(Some(context), now).is_last(policy)
}

impl<'a> Outcome<'a> {
    /// That of the first attempt of a call, which begins now, as if its own timeout ended it at
    /// once.
    ///
    /// The budget is left out: it is asked once an attempt has failed, and may have filled up by
    /// then. So is the time that a timeout would take: of that the retry layer knows nothing.
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
