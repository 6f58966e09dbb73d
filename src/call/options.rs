use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::grpc::{Code, CodeSet, MethodKind};

use super::ParentCall;
use super::Safety;
use super::seen::{Reader, Seen};

/// What a call does while the channel is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitMode {
    /// It fails with UNAVAILABLE at once. gRPC's default.
    #[default]
    FailFast,
    /// It waits for the channel until its deadline.
    WaitForReady,
}

/// The caller's choice of a timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// The layer's default.
    #[default]
    Inherited,
    /// This long.
    After(Duration),
    /// None, whatever the default is.
    Never,
}

/// The caller's wishes for one call; what is unset inherits the layers' settings.
///
/// An option acts where its layer stands. One that is set, where no layer that acts on it saw the
/// call, is a WARN event, once for each option in the life of the process: as the call is answered,
/// or once it has ended otherwise.
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
    seen: Seen::by_nobody(),
};

impl CallOptions {
    /// Nothing is set.
    #[inline]
    pub(crate) fn unset() -> &'static Self {
        &UNSET
    }

    /// A layer that acts on some of them has the call.
    #[inline]
    pub(super) fn seen_by(&self, layer: Reader) {
        self.seen.add(layer);
    }

    /// Whether a layer that saw the call keeps it from those below.
    #[cold]
    pub(crate) fn hold(&self, is_held: bool) {
        self.seen.hold(is_held);
    }

    /// The call was answered or is over, so all layers below have seen it, unless one holds it:
    /// tells once which of these options had no effect, because no layer that acts on them was
    /// there.
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
            self.seen.missed("inherit", &[Reader::Deadline]);
        }
    }
}

/// However the call ended: failed, timed out, or dropped by its caller.
impl Drop for CallOptions {
    fn drop(&mut self) {
        self.warn_of_unseen();
    }
}

/// Setters, for the caller.
impl CallOptions {
    /// How long the call may take in all. The earliest bound wins.
    ///
    /// The deadline layer enforces it to the response's last trailer. Without one, retry and wait for
    /// ready obey it as they do `tonic::Request::set_timeout`: it bounds attempts and waits.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Self {
        self.timeout = Timeout::After(timeout);
        self
    }

    /// Lifts the deadline layer's default, for a stream that is to live on.
    pub fn no_timeout(&mut self) -> &mut Self {
        self.timeout = Timeout::Never;
        self
    }

    /// Makes this call on behalf of one that is being served: it ends when that one's time is up, and
    /// when that one is over. In the handler's own task that needs no word.
    pub fn parent(&mut self, served: &ParentCall) -> &mut Self {
        self.served = Some(served.clone());
        self
    }

    /// How long each attempt may take, instead of what the attempt timeout layer says; nothing bounds
    /// one attempt without that layer.
    ///
    /// A call whose attempts have no time at all fails at once with `INVALID_ARGUMENT`.
    pub fn attempt_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.attempt_timeout = Timeout::After(timeout);
        self
    }

    /// Lifts the attempt timeout layer's default, for a stream of unknown kind, which a server
    /// would end with it.
    pub fn no_attempt_timeout(&mut self) -> &mut Self {
        self.attempt_timeout = Timeout::Never;
        self
    }

    /// Declares this call safe to repeat, whatever is said of its method.
    pub fn idempotent(&mut self) -> &mut Self {
        self.safety = Some(Safety::Idempotent);
        self
    }

    /// Declares this call unsafe to repeat, whatever is said of its method.
    ///
    /// It is still sent again if it provably never ran; see [`never_retry`](Self::never_retry).
    pub fn not_idempotent(&mut self) -> &mut Self {
        self.safety = Some(Safety::Unknown);
        self
    }

    /// Switches retrying off for this call, transparent retries included.
    pub fn never_retry(&mut self) -> &mut Self {
        self.retry_off = true;
        self
    }

    /// How many attempts the call has at most, the first one counted, as in gRFC A6.
    ///
    /// A call with zero attempts fails at once with `INVALID_ARGUMENT`.
    pub fn max_attempts(&mut self, attempts: u32) -> &mut Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Retries this code too.
    pub fn retry_on(&mut self, code: impl Into<Code>) -> &mut Self {
        self.retry_on = self.retry_on.with(code.into());
        self
    }

    /// Retries these codes and no others, whatever the policy says.
    pub fn retry_only_on<C: Into<Code>>(
        &mut self,
        codes: impl IntoIterator<Item = C>,
    ) -> &mut Self {
        self.retry_only_on = Some(codes.into_iter().collect());
        self.retry_on = CodeSet::EMPTY;
        self
    }

    /// Obeys a server's hint of at most this long; after a longer one the call fails rather than
    /// coming back early. Zero: any hint but zero ends the call. Without this, and without a cap of
    /// the policy, the deadline is the bound, or a minute for a call without one.
    pub fn max_hint(&mut self, longest: Duration) -> &mut Self {
        self.max_hint = Some(longest);
        self
    }

    /// Waits by this curve between attempts, whatever the code.
    pub fn backoff(&mut self, backoff: impl Backoff + 'static) -> &mut Self {
        self.backoff = Some(Arc::new(backoff));
        self
    }

    /// Waits while the channel is down; nothing waits without the wait-for-ready layer.
    pub fn wait_for_ready(&mut self) -> &mut Self {
        self.wait_mode = Some(WaitMode::WaitForReady);
        self
    }

    /// Does not wait while the channel is down: each attempt fails at once. The retry layer may still
    /// make another, as gRPC's does; for an answer at once say [`never_retry`](Self::never_retry) too.
    pub fn fail_fast(&mut self) -> &mut Self {
        self.wait_mode = Some(WaitMode::FailFast);
        self
    }

    /// Says which kind of method this is; see [`MethodKind`].
    pub fn kind(&mut self, kind: MethodKind) -> &mut Self {
        self.kind = Some(kind);
        self
    }
}

/// Getters, for layers; `None` is unset.
impl CallOptions {
    /// The timeout.
    #[must_use]
    pub(crate) fn chosen_timeout(&self) -> Timeout {
        self.timeout
    }

    /// Whether the caller said nothing of the timeout.
    #[inline]
    pub(crate) fn is_timeout_unset(&self) -> bool {
        self.timeout == Timeout::Inherited
    }

    /// The served call that this one is made for.
    #[must_use]
    pub fn inherited(&self) -> Option<&ParentCall> {
        self.served.as_ref()
    }

    /// The timeout of each attempt.
    #[must_use]
    pub(crate) fn chosen_attempt_timeout(&self) -> Timeout {
        self.attempt_timeout
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

    /// Whether the caller switched retrying off.
    #[must_use]
    pub fn is_never_retried(&self) -> bool {
        self.retry_off
    }

    /// How many attempts the caller allows.
    #[must_use]
    pub fn chosen_max_attempts(&self) -> Option<u32> {
        self.max_attempts
    }

    /// The codes to be retried, where these are the policy's.
    #[must_use]
    pub fn codes(&self, policy: CodeSet) -> CodeSet {
        self.retry_only_on.unwrap_or(policy).union(self.retry_on)
    }

    /// The longest hint that the caller obeys.
    #[must_use]
    pub fn chosen_max_hint(&self) -> Option<Duration> {
        self.max_hint
    }

    /// The caller's curve.
    #[must_use]
    pub fn chosen_backoff(&self) -> Option<&Arc<dyn Backoff>> {
        self.backoff.as_ref()
    }
}
