use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, Request};
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::call::{CallOptions, Context, Deadline, ParentCall, Reader};
use crate::dispatch::{Essentials, Extras, Readied, Spare};
use crate::kernel::timer::Home;
use crate::layers::attempt_timeout::AttemptTimeoutPolicy;
use crate::layers::budget;
use crate::layers::deadline::{self, DeadlineTimer, EndsBy};
use crate::layers::idempotency::Idempotency;
use crate::layers::retry::{Core, Policy, clear_count, is_first_the_last};
use crate::ready::Gate;

use super::going::Going;
use super::layered::{Inner, Waiting};
use super::methods::Methods;
use super::said::Said;
use super::span::Span;

/// What decides whether a call is ordinary, and begins those that are.
///
/// An ordinary call is one on which no layer has to act before it fails: it goes to the channel at
/// once, and what the layers would say and keep is said and kept here. It is a matter of cost
/// alone: the rules are the layers', asked one after the other in their order, and what happens to
/// such a call after its first attempt is theirs too.
pub(super) struct Ordinary<S> {
    pub(super) deadline: deadline::Deadline<()>,
    pub(super) idempotency: Idempotency<()>,
    pub(super) budget: budget::Budget<()>,
    pub(super) start: Core<Waiting<S>>,
    pub(super) gate: Arc<Gate>,
    pub(super) attempt_timeout: AttemptTimeoutPolicy,
    pub(super) methods: Methods,
    /// For all other calls.
    pub(super) layers: Spare<deadline::Deadline<Inner<S>>>,
}

impl<S: Clone> Ordinary<S> {
    /// All layers over this channel, for a call that is not ordinary.
    pub(super) fn layers_over(&self, channel: Readied<S>) -> deadline::Deadline<Inner<S>> {
        let mut layers = self.layers.service();
        let idempotency = layers.inner_mut().always_ready();
        let retry = idempotency.inner_mut().inner_mut();
        let waiting = retry.inner_mut().always_ready();
        *waiting.inner_mut().always_ready().inner_mut() = channel;
        layers
    }

    /// Begins a call if it is ordinary, now. One that is not is as it was, though some of its
    /// request may have been read ahead; but for one whose deadline can't be, which fails unread.
    #[inline]
    pub(super) fn begin<B: RequestBody>(
        &self,
        request: &mut Request<B>,
    ) -> Option<Box<Going<S, B>>> {
        // Such a call fails before anybody reads its request.
        if ParentCall::current_is_over() {
            return None;
        }
        let home = self.deadline.rules().home();
        let generation = self.gate.generation()?;
        let extras = Extras::alone(request.extensions());
        let given = match &extras {
            Some(_) => None,
            None => request.extensions().get::<Context>(),
        };
        let others = usize::from(given.is_some());
        let changes = self.start.policy_changes();
        let path = request.uri().path();
        let found = given.is_none().then(|| self.methods.find(path, changes));
        let found = match found.flatten() {
            Some(said) if said.policy.is_off() => return None,
            Some(said) => Ok(said),
            None => Err(self.policy(path, given)?),
        };
        let kept = self.start.keep_whole(request.body_mut())?;
        let extras = extras.unwrap_or_else(|| Extras::besides(others, request.extensions()));
        let mut essentials = Essentials::of(request, extras);
        // Whatever the header says bounds the call.
        let header = essentials.keep(request.headers(), true);
        let options = match others {
            0 => CallOptions::unset(),
            _ => options_of(request),
        };
        let now = Instant::now();
        let end = self.deadline.rules().end_of(header, options, now)?;
        let said = match found {
            Ok(said) => said,
            // Not before: a closure is asked about a call once, and the layers ask it too.
            Err(policy) => self.ask(request, policy, changes, home)?,
        };
        let mut context = said.context.clone();
        let span = self.bind(end, &mut context, request.headers_mut(), now);
        clear_count(&essentials, request.headers_mut());
        request.extensions_mut().insert(context);
        let going = Going::new(request.uri(), essentials, kept, said, generation, span);
        going.said.began();
        Some(going)
    }

    /// Writes what ends the call where layers and servers read it.
    #[inline]
    fn bind(
        &self,
        end: EndsBy,
        context: &mut Context,
        headers: &mut HeaderMap,
        now: Instant,
    ) -> Span {
        let rules = self.deadline.rules();
        match end {
            EndsBy::Itself => Span::Since(now),
            EndsBy::Timeout { timeout, is_stated } => {
                let deadline = Deadline::after(now, timeout);
                context.bound(deadline);
                context.time();
                rules.write_whole(deadline.timeout(), is_stated, headers);
                Span::Until(DeadlineTimer::new(Some(deadline), None))
            }
            EndsBy::ParentCall(terms) => {
                let bound = terms.bind(context, now);
                rules.write(&terms, context.deadline(), headers, now);
                Span::served(now, bound)
            }
        }
    }

    /// The policy of a call that may be an ordinary one, of whose method nothing was found.
    #[cold]
    fn policy(&self, path: &str, given: Option<&Context>) -> Option<Arc<dyn Policy>> {
        let options = given.map_or(CallOptions::unset(), Context::options);
        let may_begin = given.is_none_or(is_unnoticed)
            && self.attempt_timeout.timeout(Some(options)).is_none()
            && !self.idempotency.has_key(path);
        may_begin.then(|| self.start.policy(path, options))?
    }

    /// What the layers say of such a call; kept for the calls to come of its method, if it says
    /// nothing itself.
    #[cold]
    fn ask<B>(
        &self,
        request: &Request<B>,
        policy: Arc<dyn Policy>,
        changes: usize,
        home: &Home,
    ) -> Option<Arc<Said>> {
        let given = request.extensions().get::<Context>();
        let mut context = given.cloned().unwrap_or_default();
        for layer in Reader::ALL {
            context.seen_by(layer);
        }
        let path = request.uri().path();
        let is_for_all = given.is_none() && self.idempotency.says_the_same(path);
        let uri = if is_for_all {
            // Kept for good, so it must not hold a buffer of the caller's.
            PathAndQuery::try_from(path).ok()?.into()
        } else {
            request.uri().clone()
        };
        let wait_mode = self.gate.wait_mode(path, context.options());
        self.idempotency.declare(path, &mut context);
        self.budget.charge(path, &mut context);
        context.stack();
        let pays_in = context.take_begin();
        context.set_attempt(1, self.start.takes_back());
        // Of the deadline the calls of a method share nothing, and it makes no first attempt the
        // last.
        context.follow_no_more(is_first_the_last(&context, &*policy, Instant::now()));
        let said = Arc::new(Said {
            uri,
            context,
            pays_in,
            policy,
            gate: Arc::clone(&self.gate),
            wait_mode,
            home: home.clone(),
        });
        if is_for_all {
            self.methods.keep(path, changes, &said);
        }
        Some(said)
    }
}

#[cold]
fn options_of<B>(request: &Request<B>) -> &CallOptions {
    let given = request.extensions().get();
    given.map_or(CallOptions::unset(), Context::options)
}

/// Whether nobody listens to the call, and no layer further out has to do with it.
fn is_unnoticed(context: &Context) -> bool {
    context.trace().is_none() && context.attempt().is_none() && context.deadline().is_none()
}
