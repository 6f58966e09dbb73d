//! Configuration without effect, or with another effect than it appears to have: WARN, once.

use super::TARGET;

macro_rules! warnings {
    ($($name:ident = $text:literal;)*) => {$(
        #[cold]
        pub(crate) fn $name() {
            tracing::warn!(target: TARGET, $text);
        }
    )*};
}

warnings! {
    retry_below_retry = "a RetryLayer stands below another and lets its calls pass, because attempts would \
        multiply: remove one of them";
    attempt_timeout_above_retry = "an AttemptTimeoutLayer stands above a RetryLayer and bounds all \
        attempts of a call together: put it below, or bound the call with a DeadlineLayer";
    idempotency_below_retry = "an IdempotencyLayer stands below a RetryLayer: its declarations come too \
        late, and it writes no keys; put it above";
    budget_below_retry = "a BudgetLayer stands below a RetryLayer, which spends nothing of its budget: put \
        it above";
    budget_below_budget = "a BudgetLayer stands below another, whose budget it replaces: remove one of them, \
        or give the outer one's methods to the inner one";
    attempt_timeout_below_another = "an AttemptTimeoutLayer stands below another, and the shorter of both \
        timeouts ends an attempt: remove one of them";
    wait_below_wait = "a WaitForReadyLayer stands below another, and calls wait in both: remove one of \
        them";
    throttle_below_wait = "an AdaptiveThrottleLayer stands below a WaitForReadyLayer: each failed dial \
        counts as a refusal, and calls fail that should wait; put it above";
    default_timeout_of_zero = "the default timeout is zero, so each call without a timeout of its own fails \
        at once: set a longer one, or none";
    no_runtime = "a stack was neither built nor called within a tokio runtime, so a thread for each timer \
        keeps its calls' time: build the stack, or make its first call, within a runtime";
    stack_below_stack = "a Resilience stack lies over another: attempts, budgets and waits of both act on each \
        call; remove one of them";
    declarations_replaced = "Resilience::idempotency replaces the declarations that were made before it: \
        call it first, or declare everything on that layer";
}

/// The call option had no effect.
#[cold]
pub(crate) fn option_without_layer(option: &'static str, layer: &'static str) {
    tracing::warn!(
        target: TARGET, option, layer,
        "a call option had no effect, because no such layer saw the call before it was answered: add the \
         layer (logged once for each option)"
    );
}

/// The pattern of this setter matches none of the described methods.
#[cold]
pub(crate) fn pattern_without_method(setter: &'static str, pattern: &str) {
    tracing::warn!(
        target: TARGET, setter, pattern,
        "the pattern matches no method of the descriptors and tables: check its spelling, or add the \
         descriptors of its service"
    );
}

/// The exception covers each method of the pattern.
#[cold]
pub(crate) fn pattern_overruled(pattern: &str, exception: &str) {
    tracing::warn!(
        target: TARGET, pattern, exception,
        "the pattern has no effect, because not_idempotent makes an exception of all of its methods: \
         declare them by their exact paths, or narrow the exception"
    );
}

/// No method of the exception is declared repeatable.
#[cold]
pub(crate) fn exception_idle(exception: &str) {
    tracing::warn!(
        target: TARGET, exception,
        "the exception of not_idempotent has no effect, because no pattern declares any of its methods \
         repeatable: check its spelling"
    );
}

/// The attempt timeout is not shorter than the call's default timeout.
#[cold]
pub(crate) fn attempt_timeout_without_effect(
    attempt_timeout: std::time::Duration,
    default_timeout: std::time::Duration,
) {
    tracing::warn!(
        target: TARGET, ?attempt_timeout, ?default_timeout,
        "the attempt timeout has no effect on calls with the default timeout, which ends no later: set a \
         shorter one"
    );
}

/// A method was called that no declaration, descriptor or table contains.
#[cold]
pub(crate) fn method_unknown(method: &str) {
    tracing::warn!(
        target: TARGET, method,
        "a method was called that no descriptor, table or rule contains: it is not repeated once it may \
         have run; add its descriptors, or declare it"
    );
}

/// The inner service returned an error of unknown type, with these texts.
#[cold]
pub(crate) fn error_unknown(chain: &str) {
    tracing::warn!(
        target: TARGET, chain,
        "an error of the inner service is unknown to grpc-resilience: such errors count as 'the request may \
         have run' and are retried for idempotent calls only (logged once)"
    );
}
