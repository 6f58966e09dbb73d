use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Extensions, Request};
use tokio::time::Instant;

use crate::body::LossNotice;
use crate::classify::Endpoint;
use crate::grpc::{MethodKind, TIMEOUT, find, is_repeated};
use crate::report::Trace;

#[cfg(feature = "channel")]
use super::WaitMode;
use super::above::Above;
use super::{AttemptEnd, Budget, CallOptions, Deadline, Earlier, Reader, Safety, Timeout};

/// The request extension through which layers exchange information; see the [module](super).
///
/// It belongs to one call: a proxy that forwards the extensions of a request that it serves removes
/// it first, with `extensions.remove::<Context>()`.
///
/// Your own layer reads it with `request.extensions().get::<Context>()`, and sets options of the
/// call through [`CallOptionsExt`](super::CallOptionsExt), as a caller does.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Behind a pointer, because few calls have options and every request moves its context.
    options: Option<Arc<CallOptions>>,
    deadline: Option<Deadline>,
    safety: Option<Safety>,
    kind: Option<MethodKind>,
    budget: Option<Arc<dyn Budget>>,
    paid_in: bool,
    is_kept: bool,
    attempt: Option<u32>,
    /// When an attempt timeout layer ends the attempt.
    attempt_end: Option<Arc<AttemptEnd>>,
    returns: u32,
    is_last: bool,
    /// What earlier attempts of the call have shown.
    earlier: Option<Arc<Earlier>>,
    /// Set for a request that may still exceed the replay limits.
    loss: Option<LossNotice>,
    above: Above,
    /// Set while a wait-for-ready layer does not know the channel yet.
    channel: Option<ChannelMark>,
    trace: Option<Trace>,
}

/// Says whether a call reached a channel that answers for its own readiness.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChannelMark(Arc<AtomicBool>);

impl ChannelMark {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Context {
    /// The context of a request; inserts an empty one if there is none.
    #[inline]
    pub(crate) fn of(extensions: &mut Extensions) -> &mut Self {
        extensions.get_or_insert_default()
    }

    /// The caller's options.
    #[must_use]
    pub fn options(&self) -> &CallOptions {
        self.options.as_deref().unwrap_or(CallOptions::unset())
    }

    /// Asks the channel below whether it answers for its own readiness.
    #[cold]
    pub(crate) fn ask_channel(&mut self) -> ChannelMark {
        self.channel.get_or_insert_default().clone()
    }

    /// The call has reached a channel that answers for its own readiness.
    #[cfg(feature = "channel")]
    #[inline]
    pub(crate) fn reach_channel(&self) {
        if let Some(ChannelMark(mark)) = &self.channel {
            mark.store(true, Ordering::Relaxed);
        }
    }

    /// Records that a layer which acts on options has the call.
    #[inline]
    pub(crate) fn seen_by(&self, layer: Reader) {
        if let Some(options) = &self.options {
            options.seen_by(layer);
        }
    }

    /// Sets whether a layer holds the call back. Meanwhile no layer below it counts as missing.
    #[cold]
    pub(crate) fn hold_back(&self, is_held: bool) {
        if let Some(options) = &self.options {
            options.hold(is_held);
        }
    }

    #[inline]
    pub(crate) fn shared_options(&self) -> Option<Arc<CallOptions>> {
        self.options.clone()
    }

    pub(super) fn options_mut(&mut self) -> &mut CallOptions {
        Arc::make_mut(self.options.get_or_insert_default())
    }

    /// The instant at which the call ends.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// The deadline of a request: the context's, or else the earlier one of the caller's
    /// `grpc-timeout` and [`CallOptions::timeout`]. The latter is stored in the context, and
    /// written into the header if that differs.
    ///
    /// So the deadline spans all attempts and waits even without a deadline layer (CONTRACT R2). A
    /// malformed header is left to the server to reject.
    pub(crate) fn caller_deadline<B>(request: &mut Request<B>) -> Option<Deadline> {
        let context = request.extensions().get::<Self>();
        if let Some(known) = context.and_then(Self::deadline) {
            return Some(known);
        }
        let option = match context.map(|context| context.options().chosen_timeout()) {
            Some(Timeout::After(timeout)) => Some(timeout),
            _ => None,
        };
        if option.is_none() && find(request.headers(), &TIMEOUT).is_none() {
            return None;
        }
        let now = Instant::now();
        let header = Deadline::from_headers(request.headers(), now).ok()?;
        let option = option.map(|timeout| Deadline::after(now, timeout));
        let deadline = match (header, option) {
            (Some(header), Some(option)) => header.earliest(option),
            (header, option) => header.or(option)?,
        };
        Self::of(request.extensions_mut()).bound(deadline);
        let is_stated = header == Some(deadline) && !deadline.timeout().is_zero();
        if !is_stated || is_repeated(request.headers(), &TIMEOUT) {
            deadline.stamp(request.headers_mut(), now);
        }
        Some(deadline)
    }

    /// Sets the deadline of the call; an earlier one stays.
    pub(crate) fn bound(&mut self, deadline: Deadline) {
        let earliest = match self.deadline {
            Some(earlier) => earlier.earliest(deadline),
            None => deadline,
        };
        // The timer of a layer above is for the deadline that it knew.
        self.above.times &= self.deadline == Some(earliest);
        self.deadline = Some(earliest);
    }

    /// Records that the calling layer has a timer for the deadline, at which it polls what is below
    /// once more and then ends the call.
    #[inline]
    pub(crate) fn time(&mut self) {
        self.above.times = true;
    }

    /// Whether a layer above has a timer for the deadline, so that no other one is needed.
    #[cfg(feature = "channel")]
    pub(crate) fn is_timed(&self) -> bool {
        self.above.times
    }

    /// Whether the call may be repeated: the caller's option, else the declaration.
    #[must_use]
    pub fn safety(&self) -> Safety {
        self.stated_safety().unwrap_or_default()
    }

    /// Like [`safety`](Self::safety), but `None` if neither the caller nor a declaration states it.
    #[must_use]
    pub fn stated_safety(&self) -> Option<Safety> {
        self.options().chosen_safety().or(self.safety)
    }

    /// Declares the safety of the method. A declaration of an outer layer stays, unless this one is
    /// [`Safety::Unknown`], which always wins.
    pub(crate) fn declare(&mut self, safety: Safety) {
        if safety == Safety::Unknown {
            self.safety = Some(safety);
        }
        self.safety.get_or_insert(safety);
    }

    /// The kind of the method: the caller's option, else the declaration.
    #[must_use]
    pub fn kind(&self) -> Option<MethodKind> {
        self.options().chosen_kind().or(self.kind)
    }

    /// Declares the kind of the method; a declaration of an outer layer stays.
    pub(crate) fn declare_kind(&mut self, kind: MethodKind) {
        self.kind.get_or_insert(kind);
    }

    /// The budget that bounds extra attempts. Two handles of one budget may be different pointers.
    #[must_use]
    pub fn budget(&self) -> Option<&Arc<dyn Budget>> {
        self.budget.as_ref()
    }

    /// Takes the budget and the options, which are needed at the end of the call.
    #[inline]
    pub(crate) fn take_budget(&mut self) -> (Option<Arc<dyn Budget>>, Option<Arc<CallOptions>>) {
        (self.budget.take(), self.options.take())
    }

    /// Sets the budget that bounds extra attempts of this call.
    pub(crate) fn set_budget(&mut self, budget: Arc<dyn Budget>) {
        if let Some(slot) = self.options().budget_slot() {
            slot.fill(&budget);
        }
        self.budget = Some(budget);
        self.paid_in = false;
    }

    /// A copy whose clones count references on their own, to avoid contention on the budget's
    /// counter.
    pub(crate) fn unshared(&self) -> Self {
        let mut copy = self.clone();
        if let Some(budget) = copy.budget.take() {
            copy.budget = Some(Arc::new(budget));
        }
        copy
    }

    /// Reports the start of the call to the budget: once, for any number of retry layers.
    pub(crate) fn begin_budget(&mut self) {
        if let (true, Some(budget)) = (self.take_begin(), &self.budget) {
            budget.call_started();
        }
    }

    /// Whether the calling layer has to report the start of the call to its budget; true at most
    /// once.
    pub(crate) fn take_begin(&mut self) -> bool {
        self.budget.is_some() && !std::mem::replace(&mut self.paid_in, true)
    }

    /// The number of this attempt, from 1; `None` above a retry layer.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        self.attempt
    }

    /// Sets the attempt's number, and whether a layer above keeps the request and takes it back.
    pub(crate) fn set_attempt(&mut self, attempt: u32, is_kept: bool) {
        self.attempt = Some(attempt);
        self.is_kept = is_kept;
    }

    /// Sets how often the request was sent and was provably not processed.
    pub(crate) fn came_back(&mut self, returns: u32) {
        self.returns = returns;
    }

    /// How often the request was sent before and was provably not processed.
    pub(crate) fn returns(&self) -> u32 {
        self.returns
    }

    /// Records that an attempt of the call failed at this endpoint (CONTRACT L2), with an answer
    /// that may have named the leader (CONTRACT E6).
    pub(crate) fn failed_at(&mut self, endpoint: &Endpoint, leader: Option<Endpoint>) {
        Arc::make_mut(self.earlier.get_or_insert_default()).add(endpoint, leader);
    }

    /// What earlier attempts of the call have shown about endpoints.
    #[cfg(feature = "channel")]
    pub(crate) fn earlier(&self) -> Option<Arc<Earlier>> {
        self.earlier.clone()
    }

    /// Lets the channel wait with the request, as wait-for-ready does over a channel that does not
    /// report its own readiness.
    pub(crate) fn wait_below(&mut self) {
        self.above.leaves_wait = true;
    }

    /// Whether the channel waits with the request until a connection is ready.
    #[cfg(feature = "channel")]
    pub(crate) fn is_patient(&self) -> bool {
        self.above.leaves_wait || self.options().chosen_patience() == Some(WaitMode::WaitForReady)
    }

    /// Whether no attempt can follow this one if its own timeout ends it, as an outer retry layer
    /// determined. The reasons: the call is not declared safe to repeat, this is its last attempt,
    /// the policy or the caller does not retry a time-out, retrying is switched off, or the request
    /// is not kept. `false` without a retry layer (CONTRACT D12).
    ///
    /// It may become true during the attempt, when a stream of requests exceeds the limits of the
    /// retry layer. It depends neither on the budget, which may fill up meanwhile, nor on the
    /// deadline.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.is_last || self.loss.as_ref().is_some_and(LossNotice::is_given)
    }

    /// Sets whether no attempt can follow this one.
    pub(crate) fn follow_no_more(&mut self, is_last: bool) {
        self.is_last = is_last;
    }

    /// Sets the notice that is given when the request can't be repeated any more.
    pub(crate) fn watch_loss(&mut self, loss: Option<LossNotice>) {
        self.loss = loss;
    }

    /// The notice that is given when the request can't be repeated any more.
    pub(crate) fn loss(&self) -> Option<&LossNotice> {
        self.loss.as_ref()
    }

    /// Whether the layer above keeps the whole request and sends it again if it is handed back. The
    /// layer below need not keep it then.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Records that an attempt timeout layer ends the request.
    pub(crate) fn end_as_attempt(&mut self, end: Arc<AttemptEnd>) {
        self.above.ends = true;
        self.attempt_end = Some(end);
    }

    /// When an attempt timeout layer ends the attempt, if it does.
    #[cfg(feature = "channel")]
    pub(crate) fn attempt_end(&self) -> Option<Arc<AttemptEnd>> {
        self.attempt_end.clone()
    }

    /// A wait-for-ready layer has the call: an attempt that a layer above bounds includes the wait.
    #[inline]
    pub(crate) fn include_waits(&self) {
        if let Some(end) = &self.attempt_end {
            end.include_waits();
        }
    }

    /// Whether an outer attempt timeout layer ends the request.
    pub(crate) fn ends_as_attempt(&self) -> bool {
        self.above.ends
    }

    /// Whether an outer attempt timeout layer ends the whole call. Resets the mark, because it does
    /// not hold for the attempts below.
    pub(crate) fn take_attempt_end(&mut self) -> bool {
        self.attempt_end = None;
        std::mem::take(&mut self.above.ends)
    }

    /// Sets whether the deadline is the default of a deadline layer rather than the caller's.
    #[inline]
    pub(crate) fn end_by_default(&mut self, is_default: bool) {
        self.above.defaults = is_default;
    }

    /// Whether the deadline is the default of a deadline layer.
    pub(crate) fn ends_by_default(&self) -> bool {
        self.above.defaults
    }

    /// Records that a `Resilience` stack holds the request; whether an outer one does too.
    pub(crate) fn stack(&mut self) -> bool {
        self.above.stack()
    }

    /// Whether one stack lies over another. That is one warning; their layers add none.
    pub(crate) fn is_in_two_stacks(&self) -> bool {
        self.above.is_in_two_stacks()
    }

    /// Records that a wait-for-ready layer holds the request; whether an outer one does too.
    pub(crate) fn hold(&mut self) -> bool {
        std::mem::replace(&mut self.above.holds, true)
    }

    /// Whether an outer wait-for-ready layer holds the request.
    pub(crate) fn is_held(&self) -> bool {
        self.above.holds
    }

    /// Where events of the call are recorded; `None` if nothing records them. Under `Resilience`
    /// most calls are recorded only after their first attempt has failed.
    #[must_use]
    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// Starts recording the events of the call, or shares the record of an outer layer.
    pub(crate) fn trace_or_new(&mut self) -> Trace {
        self.trace.get_or_insert_default().clone()
    }

    /// Records the events of the call into `trace` from now on.
    pub(crate) fn set_trace(&mut self, trace: Trace) {
        self.trace = Some(trace);
    }
}

#[cfg(all(test, feature = "channel"))]
mod tests {
    use std::time::Duration;

    use super::*;

    // CONTRACT D1
    #[test]
    fn a_layer_above_has_a_timer_for_the_deadline_that_it_knew_and_for_no_earlier_one() {
        let now = Instant::now();
        let after = |seconds| Deadline::after(now, Duration::from_secs(seconds));
        let mut context = Context::default();
        context.bound(after(5));
        assert!(!context.is_timed());
        context.time();
        context.bound(after(5));
        context.bound(after(7));
        assert!(context.is_timed(), "the deadline is the same");
        context.bound(after(3));
        assert!(!context.is_timed());
    }
}
