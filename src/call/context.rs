use std::sync::Arc;

use http::{Extensions, Request};
use tokio::time::Instant;

use crate::body::LossNotice;
use crate::classify::Endpoint;
use crate::grpc::{MethodKind, TIMEOUT, find, is_repeated};
use crate::report::Trace;

#[cfg(feature = "channel")]
use super::WaitMode;
use super::{Budget, CallOptions, Deadline, Reader, Safety, Timeout};

/// The request extension through which layers speak to each other; see the [module](super).
///
/// It belongs to one call: a proxy that forwards the extensions of a request that it serves takes
/// it out first, `extensions.remove::<Context>()`.
///
/// A layer of your own reads it with `request.extensions().get::<Context>()`, and says what it wants
/// of the call through [`CallOptionsExt`](super::CallOptionsExt), as a caller does.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Few calls have any, so they lie apart: what is moved with each request stays small.
    options: Option<Arc<CallOptions>>,
    deadline: Option<Deadline>,
    safety: Option<Safety>,
    kind: Option<MethodKind>,
    budget: Option<Arc<dyn Budget>>,
    paid_in: bool,
    is_kept: bool,
    attempt: Option<u32>,
    returns: u32,
    is_last: bool,
    /// Where attempts of the call arrived and failed.
    avoided: Option<Arc<Vec<Endpoint>>>,
    /// Of a request that may still outgrow what is kept of it.
    loss: Option<LossNotice>,
    above: Above,
    trace: Option<Trace>,
}

/// What layers further out do with the request, for those that stand in the wrong place.
#[derive(Clone, Copy, Debug, Default)]
struct Above {
    /// An attempt timeout ends it.
    ends: bool,
    /// Wait-for-ready holds it.
    holds: bool,
    /// What ends it is the default of a deadline layer.
    defaults: bool,
    stacks: Stacks,
    /// Wait-for-ready leaves the wait to the channel.
    leaves_wait: bool,
}

/// How many whole stacks hold the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stacks {
    #[default]
    None,
    One,
    Several,
}

impl Context {
    /// The context of a request, put there if it has none.
    #[inline]
    pub(crate) fn of(extensions: &mut Extensions) -> &mut Self {
        extensions.get_or_insert_default()
    }

    /// The caller's options.
    #[must_use]
    pub fn options(&self) -> &CallOptions {
        self.options.as_deref().unwrap_or(CallOptions::unset())
    }

    /// A layer that acts on options has the call.
    #[inline]
    pub(crate) fn seen_by(&self, layer: Reader) {
        if let Some(options) = &self.options {
            options.seen_by(layer);
        }
    }

    /// Whether a layer that saw the call keeps it from those below, of which none is missing then.
    #[cold]
    pub(crate) fn hold_back(&self, is_held: bool) {
        if let Some(options) = &self.options {
            options.hold(is_held);
        }
    }

    /// The caller's options, if there are any.
    #[inline]
    pub(crate) fn shared_options(&self) -> Option<Arc<CallOptions>> {
        self.options.clone()
    }

    pub(super) fn options_mut(&mut self) -> &mut CallOptions {
        Arc::make_mut(self.options.get_or_insert_default())
    }

    /// When the call ends.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// The deadline of a request: the context's, or else what the caller's `grpc-timeout` and
    /// [`CallOptions::timeout`] say. That is made the context's, and written into the header where the
    /// caller's own word is another.
    ///
    /// Without a deadline layer that still spans all attempts and waits (CONTRACT R2). A malformed
    /// header is the server's to refuse.
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

    /// Bounds the call; an earlier deadline stays.
    pub(crate) fn bound(&mut self, deadline: Deadline) {
        self.deadline = Some(match self.deadline {
            Some(earlier) => earlier.earliest(deadline),
            None => deadline,
        });
    }

    /// Whether the call may be repeated: the caller's word, then what was declared.
    #[must_use]
    pub fn safety(&self) -> Safety {
        self.stated_safety().unwrap_or_default()
    }

    /// The same; `None` if neither the caller nor a declaration said anything.
    #[must_use]
    pub fn stated_safety(&self) -> Option<Safety> {
        self.options().chosen_safety().or(self.safety)
    }

    /// Declares the method. A declaration made further out stays, but for one: that the method is
    /// not safe to repeat, which always wins.
    pub(crate) fn declare(&mut self, safety: Safety) {
        if safety == Safety::Unknown {
            self.safety = Some(safety);
        }
        self.safety.get_or_insert(safety);
    }

    /// The kind of the method: the caller's word, then what was declared.
    #[must_use]
    pub fn kind(&self) -> Option<MethodKind> {
        self.options().chosen_kind().or(self.kind)
    }

    /// Declares the kind of the method; a declaration made further out stays.
    pub(crate) fn declare_kind(&mut self, kind: MethodKind) {
        self.kind.get_or_insert(kind);
    }

    /// The budget that bounds extra attempts. Two handles of one need not be the same pointer.
    #[must_use]
    pub fn budget(&self) -> Option<&Arc<dyn Budget>> {
        self.budget.as_ref()
    }

    /// What is left to be told at the end of the call, and by which wishes.
    #[inline]
    pub(crate) fn take_budget(&mut self) -> (Option<Arc<dyn Budget>>, Option<Arc<CallOptions>>) {
        (self.budget.take(), self.options.take())
    }

    /// Sets the budget.
    pub(crate) fn charge(&mut self, budget: Arc<dyn Budget>) {
        self.budget = Some(budget);
        self.paid_in = false;
    }

    /// A copy whose clones are counted by themselves.
    pub(crate) fn apart(&self) -> Self {
        let mut copy = self.clone();
        if let Some(budget) = copy.budget.take() {
            copy.budget = Some(Arc::new(budget));
        }
        copy
    }

    /// Tells the budget that a call begins: once, however many layers could launch attempts of it.
    pub(crate) fn begin(&mut self) {
        if let (true, Some(budget)) = (self.pay_in(), &self.budget) {
            budget.began();
        }
    }

    /// Leaves it to whoever asks to tell its budget so; whether there is something to tell.
    pub(crate) fn pay_in(&mut self) -> bool {
        self.budget.is_some() && !std::mem::replace(&mut self.paid_in, true)
    }

    /// The number of the attempt that this request is, from 1; `None` above a retry layer.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        self.attempt
    }

    /// The request is this attempt; whether it is kept above, and may be handed back.
    pub(crate) fn number(&mut self, attempt: u32, is_kept: bool) {
        self.attempt = Some(attempt);
        self.is_kept = is_kept;
    }

    /// The request was sent this often and was provably not processed each time.
    pub(crate) fn came_back(&mut self, returns: u32) {
        self.returns = returns;
    }

    /// How often the request was sent before and was provably not processed.
    pub(crate) fn returns(&self) -> u32 {
        self.returns
    }

    /// An attempt of the call arrived at this endpoint and failed (CONTRACT L2).
    pub(crate) fn avoid(&mut self, endpoint: &Endpoint) {
        let avoided = Arc::make_mut(self.avoided.get_or_insert_default());
        if !avoided.contains(endpoint) {
            avoided.push(endpoint.clone());
        }
    }

    /// Where attempts of the call arrived and failed.
    #[cfg(feature = "channel")]
    pub(crate) fn avoided(&self) -> Option<Arc<Vec<Endpoint>>> {
        self.avoided.clone()
    }

    /// The channel waits with the request, as a layer would that stands over a channel which does not
    /// answer for its own readiness.
    pub(crate) fn wait_below(&mut self) {
        self.above.leaves_wait = true;
    }

    /// Whether the channel waits with the request until a connection is ready.
    #[cfg(feature = "channel")]
    pub(crate) fn is_patient(&self) -> bool {
        self.above.leaves_wait || self.options().chosen_patience() == Some(WaitMode::WaitForReady)
    }

    /// Whether a retry layer further out has said that no attempt follows this one if its own
    /// timeout ends it: the call is not declared safe to repeat, this is its last attempt, the
    /// policy or the caller retries no time-out, retrying is switched off, or the request is not
    /// kept. `false` without a retry layer (CONTRACT D12).
    ///
    /// It may become true during the attempt: when a stream of requests outgrows what the retry
    /// layer keeps. Neither the budget, which may fill up meanwhile, nor the deadline is part of
    /// it.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.is_last || self.loss.as_ref().is_some_and(LossNotice::is_given)
    }

    /// Says whether no attempt can follow this one.
    pub(crate) fn follow_no_more(&mut self, is_last: bool) {
        self.is_last = is_last;
    }

    /// Whether no attempt can follow is also told by this, during the attempt.
    pub(crate) fn watch_loss(&mut self, loss: Option<LossNotice>) {
        self.loss = loss;
    }

    /// What tells that during the attempt.
    pub(crate) fn loss(&self) -> Option<&LossNotice> {
        self.loss.as_ref()
    }

    /// Whether the layer above keeps the whole request and sends it once more if it is handed back: then
    /// the one below need not keep it, too.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// An attempt timeout layer ends the request.
    pub(crate) fn end_as_attempt(&mut self) {
        self.above.ends = true;
    }

    /// Whether an attempt timeout layer further out ends the request.
    pub(crate) fn ends_as_attempt(&self) -> bool {
        self.above.ends
    }

    /// Whether an attempt timeout layer further out ends the call as if it were one attempt. It is
    /// forgotten, for the attempts are others.
    pub(crate) fn take_attempt_end(&mut self) -> bool {
        std::mem::take(&mut self.above.ends)
    }

    /// Says whether the deadline is the default of a deadline layer, and nobody's word for this call.
    #[inline]
    pub(crate) fn end_by_default(&mut self, is_default: bool) {
        self.above.defaults = is_default;
    }

    /// Whether the deadline is the default of a deadline layer.
    pub(crate) fn ends_by_default(&self) -> bool {
        self.above.defaults
    }

    /// A whole stack holds the request; whether another one further out does, too.
    pub(crate) fn stack(&mut self) -> bool {
        self.above.stacks = match self.above.stacks {
            Stacks::None => Stacks::One,
            Stacks::One | Stacks::Several => Stacks::Several,
        };
        self.is_in_two_stacks()
    }

    /// Whether two stacks lie over each other: then no layer says it of itself.
    pub(crate) fn is_in_two_stacks(&self) -> bool {
        self.above.stacks == Stacks::Several
    }

    /// A wait-for-ready layer holds the request; whether one further out does, too.
    pub(crate) fn hold(&mut self) -> bool {
        std::mem::replace(&mut self.above.holds, true)
    }

    /// Whether a wait-for-ready layer further out holds the request.
    pub(crate) fn is_held(&self) -> bool {
        self.above.holds
    }

    /// Where to write what happens to the call; `None` while nobody follows it, as nobody follows an
    /// ordinary call under `Resilience` before its first attempt has failed.
    #[must_use]
    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// Listens to what happens to the call; a listener further out is shared.
    pub(crate) fn listen(&mut self) -> Trace {
        self.trace.get_or_insert_default().clone()
    }

    /// Writes down from now on what happens to a call that nobody listens to yet.
    pub(crate) fn follow(&mut self, trace: Trace) {
        self.trace = Some(trace);
    }
}
