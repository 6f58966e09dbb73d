use std::fmt;

/// Why no further attempt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUp {
    /// The call may have run and is not declared safe to repeat.
    NotIdempotent,
    /// The policy does not retry this code.
    CodeNotRetryable,
    /// All attempts that the policy or the caller allows were made.
    AttemptsExhausted,
    /// The deadline passed, or would pass during the next wait.
    Deadline,
    /// The server asked for a longer wait than the deadline allows.
    HintPastDeadline,
    /// The server asked for a longer wait than the policy or the caller obeys; by default a minute
    /// for a call without a deadline.
    HintTooLong,
    /// The server asked not to be retried.
    PushbackStop,
    /// The budget for extra attempts is used up.
    BudgetExhausted,
    /// The answer had begun, so another attempt could contradict it.
    Committed,
    /// The request exceeds the replay limit of one call, so it can't be sent again.
    BodyTooLarge,
    /// The channel's replay buffer is full, or the share of it for waiting calls.
    ReplayBufferFull,
    /// The caller's request stream failed.
    RequestFailed,
    /// The policy or the caller switched off retries.
    SwitchedOff,
    /// An outer retry layer handles the call, and this one passed it through.
    Nested,
    /// The caller dropped the call, visible only in a [`CallReport`](super::CallReport) taken
    /// before; or the parent call ended.
    Cancelled,
    /// A custom policy decided it, under this name.
    Policy(&'static str),
    /// The channel is down and the call does not wait for it, or the channel is shut down.
    NotReady,
    /// Nothing dials the channel: [`Readiness::ready`](crate::wait_for_ready::Readiness::ready)
    /// waited for it, and no call did.
    NotDialled,
    /// Too many calls already wait for the channel.
    QueueFull,
    /// The client throttled the call, because the server rejects most calls.
    Throttled,
    /// The caller's options or the endpoint's URI are invalid.
    InvalidCall,
    /// No tokio runtime is left that can wake the call.
    NoRuntime,
    /// The server no longer has the place at which a stream was to resume; see
    /// [`OnLost`](crate::streams::OnLost).
    TokenLost,
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
            Self::TokenLost => "token_lost",
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
            Self::Committed => "the answer had begun, so another attempt could contradict it",
            Self::BodyTooLarge => {
                "the request is larger than `replay_limit` and can't be sent again"
            }
            Self::ReplayBufferFull => {
                "`replay_buffer` has no room for the request, which can't be sent again"
            }
            Self::RequestFailed => "the request stream failed",
            Self::SwitchedOff => "retrying is switched off",
            Self::Nested => "an outer retry layer decides",
            Self::Cancelled => "the call was dropped, or its parent call ended",
            Self::Policy(name) => name,
            Self::NotReady => "the channel is not ready",
            Self::NotDialled => {
                "nothing dials the channel, because no call waits for it: make a call, or connect \
                 before with `Endpoint::connect`"
            }
            Self::QueueFull => "too many calls wait for the channel already, see `max_waiting`",
            Self::Throttled => "not sent: throttled by the client because the server rejects most calls",
            Self::InvalidCall => "the call's options or the endpoint's URI are invalid",
            Self::NoRuntime => {
                "the tokio runtime of the stack's timers has ended: build the stack in one that keeps running"
            }
            Self::TokenLost => {
                "the stream can't resume without losing or repeating messages: see `on_lost`"
            }
        })
    }
}
