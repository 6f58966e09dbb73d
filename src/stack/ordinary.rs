use std::sync::Arc;

use http::Request;
use tokio::time::Instant;

use crate::attempt_timeout::AttemptTimeoutPolicy;
use crate::body::RequestBody;
use crate::budget::Budgeted;
use crate::call::{self, CallOptions};
use crate::deadline::{DeadlineService, Terms};
use crate::dispatch::{Readied, Spare};
use crate::grpc::TIMEOUT;
use crate::idempotency::Idempotency;
use crate::retry::Start;
use crate::wait_for_ready::{Door, Pass};

use super::going::Going;
use super::layered::{Inner, Waiting};

/// What decides whether a call is ordinary, and begins those that are.
///
/// An ordinary call is one on which no layer has to act before it fails: it goes to the channel at once,
/// and what the layers would say and keep is said and kept here. It is a matter of cost alone: the
/// rules are the layers', asked one after the other in their order, and what happens to such a call after
/// its first attempt is theirs too.
pub(super) struct Ordinary<S> {
    pub(super) deadline: DeadlineService<()>,
    pub(super) idempotency: Idempotency<()>,
    pub(super) budget: Budgeted<()>,
    pub(super) start: Start<Waiting<S>>,
    pub(super) door: Arc<Door>,
    pub(super) attempt_timeout: AttemptTimeoutPolicy,
    /// For all other calls.
    pub(super) layers: Spare<DeadlineService<Inner<S>>>,
}

impl<S: Clone> Ordinary<S> {
    /// All layers over this channel, for a call that is not ordinary.
    pub(super) fn layers_over(&self, channel: Readied<S>) -> DeadlineService<Inner<S>> {
        let mut layers = self.layers.service();
        let idempotency = layers.inner_mut().always_ready();
        let retry = idempotency.inner_mut().inner_mut();
        let waiting = retry.inner_mut().always_ready();
        *waiting.inner_mut().always_ready().inner_mut() = channel;
        layers
    }

    /// Begins a call if it is ordinary, now, with its pass through the gate; one that is not is as it was, though some of its request may have
    /// been read ahead.
    #[inline]
    pub(super) fn begin<B: RequestBody>(
        &self,
        request: &mut Request<B>,
    ) -> Option<(Going<S, B>, Pass)> {
        let context = request.extensions().get::<call::Context>();
        if !context.is_none_or(is_unnoticed) {
            return None;
        }
        let options = context.map_or(&CallOptions::UNSET, call::Context::options);
        let path = request.uri().path();
        if self.attempt_timeout.timeout(Some(options)).is_some() || self.idempotency.has_key(path) {
            return None;
        }
        let pass = Pass::without_asking(&self.door, path, options)?;
        let policy = self.start.policy(path, options)?;
        let terms = self.deadline.terms(request.headers(), context).ok()?;
        if !terms.as_ref().is_none_or(Terms::is_plain) {
            return None;
        }
        let mut context = context.cloned().unwrap_or_default();
        let recorded = self.start.record_whole(request.body_mut())?;
        let now = Instant::now();
        let (bound, timeout) = terms.map(|terms| terms.bind(&mut context, now)).unzip();
        let path = request.uri().path();
        self.idempotency.declare(path, &mut context);
        self.budget.charge(path, &mut context);
        let is_kept = self.start.number(&mut context, &recorded.0);
        request.extensions_mut().insert(context.clone());
        let (mut call, _) = self.start.begin(request, context, recorded, policy);
        if let Some(timeout) = timeout.flatten() {
            request.headers_mut().insert(TIMEOUT, timeout);
        }
        call.begin_first(request.headers_mut(), is_kept, now);
        Some((Going::new(call, bound, now), pass))
    }
}

/// Whether nobody listens to the call, and no layer further out has to do with it.
fn is_unnoticed(context: &call::Context) -> bool {
    context.trace().is_none() && context.attempt().is_none() && context.deadline().is_none()
}
