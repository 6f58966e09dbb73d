use std::sync::Arc;

use crate::body::{Recording, RequestBody};
use crate::call::CallOptions;
use crate::dispatch::Spare;
use crate::kernel::striped::Striped;

use super::Policy;
use super::kept_request::KeptRequest;
use super::settings::Settings;
use super::shared::{CoreHandle, Shared};

/// Starts calls; shared by the clones of a service.
#[derive(Debug)]
pub(crate) struct Core<S>(Arc<CoreParts<S>>);

#[derive(Debug)]
struct CoreParts<S> {
    shared: Arc<Shared<S>>,
    /// Per-thread handles of `shared` for the calls that keep one.
    holds: Striped<CoreHandle<S>>,
}

impl<S> Core<S> {
    pub(super) fn settings(&self) -> &Settings {
        &self.0.shared.settings
    }

    #[inline]
    fn hold(&self) -> Arc<CoreHandle<S>> {
        let CoreParts { shared, holds } = &*self.0;
        holds.get(|| CoreHandle(Arc::clone(shared)))
    }
}

impl<S> Clone for Core<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Clone> Core<S> {
    pub(super) fn new(service: S, settings: Settings) -> Self {
        let shared = Shared {
            spare: Spare::new(service),
            settings,
        };
        Self(Arc::new(CoreParts {
            shared: Arc::new(shared),
            holds: Striped::new(),
        }))
    }

    /// A service for an attempt; its readiness is unknown.
    pub(super) fn service(&self) -> S {
        self.0.shared.spare.service()
    }

    /// Keeps the request of a call that may be repeated, as far as it fits. `body` becomes the body
    /// of the first attempt.
    #[inline]
    pub(super) fn keep<B: RequestBody>(&self, body: &mut B) -> KeptRequest<S, B> {
        let settings = self.settings();
        let (recording, loan) =
            Recording::keep(body, settings.replay_limit, &settings.replay_buffer);
        KeptRequest::new(self.hold(), recording, loan.take_over())
    }
}

/// For the fast path, which makes the first attempt itself.
impl<S: Clone> Core<S> {
    /// The policy of a call, if the call may be retried and no hook is set.
    pub(crate) fn policy(&self, path: &str, options: &CallOptions) -> Option<Arc<dyn Policy>> {
        let policies = self.settings().policies.load();
        let policy = policies.of(path);
        let is_ordinary = !policy.is_off()
            && !options.is_never_retried()
            && options.chosen_max_attempts() != Some(0)
            && self.settings().hook.is_none();
        is_ordinary.then(|| Arc::clone(policy))
    }

    /// The number of replacements of the policies.
    #[inline]
    pub(crate) fn policy_changes(&self) -> usize {
        self.settings().policies.changes()
    }

    /// Keeps a request that is complete; any other body is left as it is.
    #[inline]
    pub(crate) fn keep_whole<B: RequestBody>(&self, body: &mut B) -> Option<KeptRequest<S, B>> {
        let settings = self.settings();
        let kept = Recording::keep_whole(body, settings.replay_limit, &settings.replay_buffer);
        let (recording, loan) = kept?;
        Some(KeptRequest::new(self.hold(), recording, loan.take_over()))
    }

    /// Whether a layer below may hand a complete request back.
    pub(crate) fn takes_back(&self) -> bool {
        self.settings().takes_back
    }
}
