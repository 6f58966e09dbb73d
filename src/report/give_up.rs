use std::fmt;

/// Why no further attempt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUp {
    /// The call may have run and nobody declared it safe to repeat.
    NotIdempotent,
    /// The policy does not retry this code.
    CodeNotRetryable,
    /// All attempts that the policy or the caller allows were made.
    AttemptsExhausted,
    /// The next wait would have passed the deadline, or it passed.
    Deadline,
    /// The server asked for a longer wait than the deadline allows.
    HintPastDeadline,
    /// The server asked for a longer wait than the policy or the caller obeys; without a deadline
    /// that is a minute by default.
    HintTooLong,
    /// The server asked not to be retried.
    PushbackStop,
    /// The budget for extra attempts is used up.
    BudgetExhausted,
    /// The answer had begun, so that another attempt could contradict it.
    Committed,
    /// The request is larger than what is kept of one call, so that it can't be sent again.
    BodyTooLarge,
    /// The calls of this channel keep all that they may for being sent again, or those of them that
    /// wait keep their share of it.
    ReplayBufferFull,
    /// The caller's request stream failed by itself.
    RequestFailed,
    /// The policy never retries, or the caller said so.
    SwitchedOff,
    /// A retry layer further out has the call in hand, and this one let it pass.
    Nested,
    /// The call was dropped, which only a [`CallReport`](super::CallReport) taken before can say; or
    /// the call that it was made for is over.
    Cancelled,
    /// A policy of the user's own said so, under this name.
    Policy(&'static str),
    /// The channel is down and the call does not wait for it.
    NotReady,
    /// Nothing dials the channel: [`Readiness::ready`](crate::wait_for_ready::Readiness::ready)
    /// waited for it, and no call did.
    NotDialled,
    /// Too many calls wait for the channel already.
    QueueFull,
    /// The client held it back, since the server refuses much of what it gets.
    Throttled,
    /// The call can't be made as the caller asked for it.
    InvalidCall,
    /// No tokio runtime can wake the call.
    NoRuntime,
}

impl GiveUp {
    /// A stable name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotIdempotent => "not_idempotent",
            Self::CodeNotRetryable => "code_not_retryable",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::Deadline => "deadline",
            Self::HintPastDeadline => "hint_past_deadline",
            Self::HintTooLong => "hint_too_long",
            Self::PushbackStop => "pushback_stop",
            Self::BudgetExhausted => "budget_exhausted",
            Self::Committed => "committed",
            Self::BodyTooLarge => "body_too_large",
            Self::ReplayBufferFull => "replay_buffer_full",
            Self::RequestFailed => "request_failed",
            Self::SwitchedOff => "switched_off",
            Self::Nested => "nested",
            Self::Cancelled => "cancelled",
            Self::Policy(name) => name,
            Self::NotReady => "not_ready",
            Self::NotDialled => "not_dialled",
            Self::QueueFull => "queue_full",
            Self::Throttled => "throttled",
            Self::InvalidCall => "invalid_call",
            Self::NoRuntime => "no_runtime",
        }
    }
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotIdempotent => {
                "the call may have run, and its method is not declared safe to repeat: declare it with \
                 `.idempotent(..)` of `Resilience` or `IdempotencyLayer`, or one call with \
                 `call_options().idempotent()`"
            }
            Self::CodeNotRetryable => "this code is not retried, see `RetryPolicy::retry_on`",
            Self::AttemptsExhausted => "all attempts were made",
            Self::Deadline => "the deadline passed or leaves no time for another attempt",
            Self::HintPastDeadline => "the server asked for a wait beyond the deadline",
            Self::HintTooLong => "the server asked for a longer wait than `max_hint` allows",
            Self::PushbackStop => "the server asked not to be retried",
            Self::BudgetExhausted => {
                "the budget for retries is used up: set a larger one by `Resilience::budget` or \
                 `BudgetLayer::new`, or lift it by `unlimited_budget()`"
            }
            Self::Committed => "the answer had begun",
            Self::BodyTooLarge => {
                "the request is larger than `replay_limit` and can't be sent again"
            }
            Self::ReplayBufferFull => {
                "`replay_buffer` has no room for the request, which can't be sent again"
            }
            Self::RequestFailed => "the request stream failed",
            Self::SwitchedOff => "retrying is switched off",
            Self::Nested => "a retry layer further out decides",
            Self::Cancelled => "nobody waits for the answer any more",
            Self::Policy(name) => name,
            Self::NotReady => "the channel is not ready",
            Self::NotDialled => {
                "nothing dials the channel, because no call waits for it: make a call, or connect \
                 before with `Endpoint::connect`"
            }
            Self::QueueFull => "too many calls wait for the channel already, see `max_waiting`",
            Self::Throttled => "not sent: throttled by the client because the server rejects most calls",
            Self::InvalidCall => "the call can't be made as it was asked for",
            Self::NoRuntime => {
                "the tokio runtime of the stack's timers is over: build the stack in one that keeps running"
            }
        })
    }
}
