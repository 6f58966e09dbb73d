#[cfg(feature = "channel")]
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::backoff::Backoff;
use crate::classify::Endpoint;
use crate::grpc::{Code, CodeSet, MethodKind};

use super::BudgetSlot;
use super::ParentCall;
use super::Safety;
use super::seen::{Reader, Seen};

/// What a call does while the channel is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitMode {
    /// Fails with UNAVAILABLE at once. gRPC's default.
    #[default]
    FailFast,
    /// Waits for the channel until the call's deadline.
    WaitForReady,
}

/// The caller's choice of a timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// The layer's default applies.
    #[default]
    Inherited,
    /// This duration replaces the default.
    After(Duration),
    /// No timeout, whatever the default is.
    Never,
}

/// The caller's settings for one call. Each unset option inherits the layers' setting.
///
/// An option needs its layer. If a set option has no layer that acts on it, a WARN event reports it
/// when the call is answered or has ended otherwise, once for each option in the life of the
/// process.
///
/// Reached through [`CallOptionsExt::call_options`](super::CallOptionsExt::call_options).
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    timeout: Timeout,
    attempt_timeout: Timeout,
    safety: Option<Safety>,
    wait_mode: Option<WaitMode>,
    kind: Option<MethodKind>,
    retry_off: bool,
    max_attempts: Option<u32>,
    retry_on: CodeSet,
    retry_only_on: Option<CodeSet>,
    backoff: Option<Arc<dyn Backoff>>,
    max_hint: Option<Duration>,
    served: Option<ParentCall>,
    endpoint: Option<Endpoint>,
    avoided: Vec<Endpoint>,
    shard_key: Option<Bytes>,
    /// Who launches further calls in place of this one hears of its budget.
    budget_slot: Option<BudgetSlot>,
    seen: Seen,
}

static UNSET: CallOptions = CallOptions {
    timeout: Timeout::Inherited,
    attempt_timeout: Timeout::Inherited,
    safety: None,
    wait_mode: None,
    kind: None,
    retry_off: false,
    max_attempts: None,
    retry_on: CodeSet::EMPTY,
    retry_only_on: None,
    backoff: None,
    max_hint: None,
    served: None,
    endpoint: None,
    avoided: Vec::new(),
    shard_key: None,
    budget_slot: None,
    seen: Seen::by_nobody(),
};

impl CallOptions {
    #[inline]
    pub(crate) fn unset() -> &'static Self {
        &UNSET
    }

    /// Records that a layer which acts on some of the options has the call.
    #[inline]
    pub(super) fn seen_by(&self, layer: Reader) {
        self.seen.add(layer);
    }

    /// Sets whether a layer holds the call back from the layers below.
    #[cold]
    pub(crate) fn hold(&self, is_held: bool) {
        self.seen.hold(is_held);
    }

    /// Warns of options without effect, because no layer that acts on them was there. Called when
    /// the call is answered or over: all layers below have seen it by then, unless one holds it.
    #[cold]
    pub(crate) fn warn_of_unseen(&self) {
        if !self.seen.take_complete() {
            return;
        }
        let set = [
            (self.safety.is_some_and(Safety::may_repeat), "idempotent"),
            (self.max_attempts.is_some(), "max_attempts"),
            (self.retry_on != CodeSet::EMPTY, "retry_on"),
            (self.retry_only_on.is_some(), "retry_only_on"),
            (self.backoff.is_some(), "backoff"),
            (self.max_hint.is_some(), "max_hint"),
        ];
        for (_, option) in set.into_iter().filter(|(is_set, _)| *is_set) {
            self.seen.missed(option, &[Reader::Retry]);
        }
        if self.wait_mode == Some(WaitMode::WaitForReady) {
            self.seen.missed("wait_for_ready", &[Reader::Wait]);
        }
        if matches!(self.attempt_timeout, Timeout::After(_)) {
            let readers = [Reader::AttemptTimeout];
            self.seen.missed("attempt_timeout", &readers);
        }
        if matches!(self.timeout, Timeout::After(_)) {
            self.seen.missed("timeout", &Reader::ALL);
        }
        if self.served.is_some() {
            self.seen.missed("parent", &[Reader::Deadline]);
        }
        let set = [
            (self.endpoint.is_some(), "endpoint"),
            (!self.avoided.is_empty(), "avoid"),
            (self.shard_key.is_some(), "shard_key"),
        ];
        for (_, option) in set.into_iter().filter(|(is_set, _)| *is_set) {
            self.seen.missed(option, &[Reader::Channel]);
        }
    }
}

/// Covers every end of a call: failed, timed out, or dropped by its caller.
impl Drop for CallOptions {
    fn drop(&mut self) {
        self.warn_of_unseen();
    }
}

/// Setters, for the caller.
impl CallOptions {
    /// Sets how long the whole call may take. The earliest bound wins. Default: the deadline
    /// layer's.
    ///
    /// The deadline layer enforces it up to the last trailer of the response. Without that layer,
    /// retry and wait-for-ready apply it to attempts and waits, as they apply
    /// `tonic::Request::set_timeout`.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Self {
        self.timeout = Timeout::After(timeout);
        self
    }

    /// Removes the deadline layer's default timeout, for example for a long-lived stream.
    pub fn no_timeout(&mut self) -> &mut Self {
        self.timeout = Timeout::Never;
        self
    }

    /// Ties this call to a parent call: it ends at the parent's deadline, and when the parent call
    /// ends. Calls that the handler makes in its own task are tied without this option.
    pub fn parent(&mut self, served: &ParentCall) -> &mut Self {
        self.served = Some(served.clone());
        self
    }

    /// Sets how long each attempt may take, instead of the attempt timeout layer's default. Without
    /// that layer it has no effect.
    ///
    /// Waiting for a connection is no attempt where a retry or wait-for-ready layer stands above:
    /// without a [`timeout`](Self::timeout) such a call waits for a server that is down for ever.
    ///
    /// With a timeout of zero the call fails at once with `INVALID_ARGUMENT`.
    pub fn attempt_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.attempt_timeout = Timeout::After(timeout);
        self
    }

    /// Removes the attempt timeout layer's default, for a stream of unknown kind: a server would
    /// end the stream at that timeout.
    pub fn no_attempt_timeout(&mut self) -> &mut Self {
        self.attempt_timeout = Timeout::Never;
        self
    }

    /// Declares this call safe to repeat, whatever its method declares.
    pub fn idempotent(&mut self) -> &mut Self {
        self.safety = Some(Safety::Idempotent);
        self
    }

    /// Declares this call unsafe to repeat, whatever its method declares.
    ///
    /// It is still sent again if it provably never ran; see [`never_retry`](Self::never_retry).
    pub fn not_idempotent(&mut self) -> &mut Self {
        self.safety = Some(Safety::Unknown);
        self
    }

    /// Switches off retries of this call, transparent retries included.
    pub fn never_retry(&mut self) -> &mut Self {
        self.retry_off = true;
        self
    }

    /// Sets the maximum number of attempts, the first one included, as in gRFC A6. Default: the
    /// policy's.
    ///
    /// With zero attempts the call fails at once with `INVALID_ARGUMENT`.
    pub fn max_attempts(&mut self, attempts: u32) -> &mut Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Adds a retryable code.
    pub fn retry_on(&mut self, code: impl Into<Code>) -> &mut Self {
        self.retry_on = self.retry_on.with(code.into());
        self
    }

    /// Makes only these codes retryable, whatever the policy allows.
    pub fn retry_only_on<C: Into<Code>>(
        &mut self,
        codes: impl IntoIterator<Item = C>,
    ) -> &mut Self {
        self.retry_only_on = Some(codes.into_iter().collect());
        self.retry_on = CodeSet::EMPTY;
        self
    }

    /// Sets the longest server hint that the call obeys; after a longer one the call fails instead
    /// of returning early. Zero: every hint except zero ends the call. Default: the policy's cap,
    /// else the deadline, or a minute for a call without one.
    pub fn max_hint(&mut self, longest: Duration) -> &mut Self {
        self.max_hint = Some(longest);
        self
    }

    /// Sets the backoff between attempts, for all codes.
    pub fn backoff(&mut self, backoff: impl Backoff + 'static) -> &mut Self {
        self.backoff = Some(Arc::new(backoff));
        self
    }

    /// Waits while the channel is down. Needs the wait-for-ready layer. Without a deadline the call
    /// waits for ever, whatever its attempt timeout.
    pub fn wait_for_ready(&mut self) -> &mut Self {
        self.wait_mode = Some(WaitMode::WaitForReady);
        self
    }

    /// Does not wait while the channel is down: each attempt fails at once. The retry layer may
    /// still make another attempt, as gRPC's does; for an immediate answer add
    /// [`never_retry`](Self::never_retry).
    pub fn fail_fast(&mut self) -> &mut Self {
        self.wait_mode = Some(WaitMode::FailFast);
        self
    }

    /// Sets the kind of the method; see [`MethodKind`].
    pub fn kind(&mut self, kind: MethodKind) -> &mut Self {
        self.kind = Some(kind);
        self
    }
}

/// Setters for the choice of an endpoint, which need [`Channel`](crate::channel::Channel).
#[cfg(feature = "channel")]
impl CallOptions {
    /// Sends the call to this endpoint and to no other, by its address: `10.0.0.1:50051`,
    /// `unix:/run/orders.sock`, or an [`Endpoint`] that answered before.
    ///
    /// While the endpoint is not ready, the call waits or fails as it would for a channel with this
    /// endpoint alone. If the target has no such address, it fails with FAILED_PRECONDITION.
    /// Retries go there, too.
    ///
    /// ```
    /// use grpc_resilience::call::CallOptionsExt;
    /// use grpc_resilience::classify::Endpoint;
    ///
    /// fn follow_up<T>(first: &tonic::Response<T>, second: &mut tonic::Request<()>) {
    ///     if let Some(endpoint) = first.extensions().get::<Endpoint>() {
    ///         second.call_options().endpoint(endpoint);
    ///     }
    /// }
    /// ```
    pub fn endpoint(&mut self, endpoint: impl fmt::Display) -> &mut Self {
        self.endpoint = Some(Endpoint::new(endpoint.to_string().into()));
        self
    }

    /// Sends the call to another endpoint than this one, as long as another one is ready. Repeat it
    /// for further endpoints. For the names see [`endpoint`](Self::endpoint).
    pub fn avoid(&mut self, endpoint: impl fmt::Display) -> &mut Self {
        self.avoided
            .push(Endpoint::new(endpoint.to_string().into()));
        self
    }

    /// Sets the key by which [`Shard`](crate::channel::pick::Shard) picks the endpoint.
    pub fn shard_key(&mut self, key: impl Into<Bytes>) -> &mut Self {
        self.shard_key = Some(key.into());
        self
    }
}

/// Getters for the channel.
#[cfg(feature = "channel")]
impl CallOptions {
    /// Whether any option is about the endpoint.
    pub(crate) fn chooses_endpoint(&self) -> bool {
        self.endpoint.is_some() || self.shard_key.is_some() || !self.avoided.is_empty()
    }

    pub(crate) fn chosen_endpoint(&self) -> Option<&str> {
        self.endpoint.as_ref().map(Endpoint::name)
    }

    pub(crate) fn chosen_avoided(&self) -> &[Endpoint] {
        &self.avoided
    }

    pub(crate) fn chosen_shard_key(&self) -> Option<&[u8]> {
        self.shard_key.as_deref()
    }
}

/// Getters, for layers; `None` means unset.
impl CallOptions {
    /// The timeout.
    #[must_use]
    pub(crate) fn chosen_timeout(&self) -> Timeout {
        self.timeout
    }

    #[inline]
    pub(crate) fn is_timeout_unset(&self) -> bool {
        self.timeout == Timeout::Inherited
    }

    /// The parent call of this call.
    #[must_use]
    pub fn inherited(&self) -> Option<&ParentCall> {
        self.served.as_ref()
    }

    /// The timeout of each attempt.
    #[must_use]
    pub(crate) fn chosen_attempt_timeout(&self) -> Timeout {
        self.attempt_timeout
    }

    /// Asks for the budget of the call.
    #[cfg(feature = "tonic")]
    pub(crate) fn watch_budget(&mut self, slot: &BudgetSlot) {
        self.budget_slot = Some(slot.clone());
    }

    #[inline]
    pub(super) fn budget_slot(&self) -> Option<&BudgetSlot> {
        self.budget_slot.as_ref()
    }

    /// Whether the call may be repeated.
    #[must_use]
    pub fn chosen_safety(&self) -> Option<Safety> {
        self.safety
    }

    /// What the call does while the channel is down.
    #[must_use]
    pub fn chosen_patience(&self) -> Option<WaitMode> {
        self.wait_mode
    }

    /// The kind of the method.
    #[must_use]
    pub fn chosen_kind(&self) -> Option<MethodKind> {
        self.kind
    }

    /// Whether the caller switched off retries.
    #[must_use]
    pub fn is_never_retried(&self) -> bool {
        self.retry_off
    }

    /// The caller's maximum number of attempts.
    #[must_use]
    pub fn chosen_max_attempts(&self) -> Option<u32> {
        self.max_attempts
    }

    /// The retryable codes of this call, under a policy with the codes `policy`.
    #[must_use]
    pub fn codes(&self, policy: CodeSet) -> CodeSet {
        self.retry_only_on.unwrap_or(policy).union(self.retry_on)
    }

    /// The longest hint that the caller obeys.
    #[must_use]
    pub fn chosen_max_hint(&self) -> Option<Duration> {
        self.max_hint
    }

    /// The caller's backoff.
    #[must_use]
    pub fn chosen_backoff(&self) -> Option<&Arc<dyn Backoff>> {
        self.backoff.as_ref()
    }
}
