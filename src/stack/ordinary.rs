use std::sync::Arc;

use http::Request;
use tokio::time::Instant;

use crate::attempt_timeout::AttemptTimeoutPolicy;
use crate::body::RequestBody;
use crate::budget::Budgeted;
use crate::call;
use crate::deadline::{DeadlineService, Terms};
use crate::dispatch::{Readied, Spare};
use crate::grpc::TIMEOUT;
use crate::idempotency::Idempotency;
use crate::retry::Start;
use crate::wait_for_ready::{Door, Pass};

use super::going::Going;
use super::layered::{Inner, Waiting};
use super::methods::{Methods, Said};

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
    pub(super) methods: Methods,
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
        let given = request.extensions().get::<call::Context>();
        let terms = self.deadline.terms(request.headers(), given).ok()?;
        if !terms.as_ref().is_none_or(Terms::is_plain) {
            return None;
        }
        let path = request.uri().path();
        let changes = self.start.policy_changes();
        let asked;
        let said = match given {
            None => self.methods.find(path, changes),
            Some(given) if is_unnoticed(given) => None,
            Some(_) => return None,
        };
        let said = match said {
            Some(said) => said,
            None => {
                asked = self.ask(path, given.cloned().unwrap_or_default())?;
                if given.is_none() && self.idempotency.says_the_same(path) {
                    self.methods.keep(path, changes, &asked);
                }
                &asked
            }
        };
        let pass = Pass::without_asking(&self.door, said.patience)?;
        let recorded = self.start.record_whole(request.body_mut())?;
        let (mut context, policy) = (said.context.clone(), Arc::clone(&said.policy));
        let now = Instant::now();
        let bound = terms.map(|terms| terms.bind(&mut context, now));
        let deadline = context.deadline();
        let is_kept = self.start.number(&mut context, &recorded.0);
        request.extensions_mut().insert(context.clone());
        let (mut call, _) = self.start.begin(request, context, recorded, policy);
        if let Some(deadline) = deadline {
            let timeout = self.deadline.header(deadline, now);
            request.headers_mut().insert(TIMEOUT, timeout);
        }
        call.begin_first(request.headers_mut(), is_kept, now);
        Some((Going::new(call, bound, now), pass))
    }

    /// What the layers say of a call, if it may be an ordinary one.
    #[cold]
    fn ask(&self, path: &str, mut context: call::Context) -> Option<Said> {
        let options = context.options();
        if self.attempt_timeout.timeout(Some(options)).is_some() || self.idempotency.has_key(path) {
            return None;
        }
        let policy = self.start.policy(path, options)?;
        let patience = self.door.patience(path, options);
        self.idempotency.declare(path, &mut context);
        self.budget.charge(path, &mut context);
        Some(Said {
            context,
            policy,
            patience,
        })
    }
}

/// Whether nobody listens to the call, and no layer further out has to do with it.
fn is_unnoticed(context: &call::Context) -> bool {
    context.trace().is_none() && context.attempt().is_none() && context.deadline().is_none()
}
