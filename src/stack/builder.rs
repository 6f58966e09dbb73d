use std::borrow::Borrow;
use std::time::Duration;

use tower_layer::Layer;

use crate::call::{Budget, Method, Safety};
use crate::dispatch::Spare;
use crate::events::{self, Once};
use crate::grpc::MethodKind;
use crate::layers::attempt_timeout::AttemptTimeoutLayer;
use crate::layers::budget::{BudgetLayer, TokenBucket};
use crate::layers::deadline::DeadlineLayer;
use crate::layers::idempotency::{
    Explanation, IdempotencyKey, IdempotencyLayer, InvalidDescriptors,
};
use crate::layers::retry::{Policies, RetryLayer};
use crate::layers::wait_for_ready::WaitForReadyLayer;
use crate::methods::InvalidPattern;

use super::layered::Waiting;
use super::methods::Methods;
use super::ordinary::Ordinary;
use super::{Resilient, ResilientWith};

/// Builds the whole stack; see the [module](super).
///
/// Defaults: no timeout; nothing declared idempotent; A6's bucket of 300 tokens; 4 attempts on
/// UNAVAILABLE; calls wait while the channel is down; attempts are bounded by the deadline only. Each `wrap` makes a default budget and a
/// readiness of its own, shared by the clones of what it returns; what is given by
/// [`budget`](Self::budget) or [`budget_layer`](Self::budget_layer) is shared by all that this builder wraps.
///
/// `A` is the layer around each attempt, which [`attempt_layer`](Self::attempt_layer) sets.
#[derive(Clone, Debug)]
pub struct Resilience<A = NoAttemptLayer> {
    deadline: DeadlineLayer,
    idempotency: IdempotencyLayer,
    budget: Spending,
    retry: RetryLayer,
    around_attempts: A,
    wait_for_ready: WaitForReadyLayer,
    attempt_timeout: AttemptTimeoutLayer,
    checked: Once,
}

/// Nothing stands around attempts.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAttemptLayer;

#[derive(Clone, Debug, Default)]
enum Spending {
    #[default]
    Bucket,
    Given(BudgetLayer),
    Unlimited,
}

impl Default for Resilience {
    fn default() -> Self {
        Self {
            deadline: DeadlineLayer::default(),
            idempotency: IdempotencyLayer::default(),
            budget: Spending::default(),
            retry: RetryLayer::default(),
            around_attempts: NoAttemptLayer,
            wait_for_ready: WaitForReadyLayer::default(),
            attempt_timeout: AttemptTimeoutLayer::default(),
            checked: Once::default(),
        }
    }
}

impl Resilience {
    /// The stack with its defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a layer around each attempt, such as an
    /// [`AdaptiveThrottleLayer`](crate::adaptive_throttle::AdaptiveThrottleLayer) or one of yours:
    /// below retry, so that it sees every attempt, and above wait for ready, so that what it lets
    /// through may wait. Default: none. Several go in a `tower::ServiceBuilder`, which is a layer too.
    ///
    /// ```
    /// # {
    /// use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
    /// use grpc_resilience::Resilience;
    /// use grpc_resilience::stack::ResilientWith;
    /// use tonic::transport::{Channel, Endpoint};
    ///
    /// struct Shop {
    ///     orders: ResilientWith<Channel, AdaptiveThrottleLayer>,
    /// }
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # let _guard = runtime.enter();
    /// let channel = Endpoint::from_static("http://orders:50051").connect_lazy();
    /// let stack = Resilience::new().attempt_layer(AdaptiveThrottleLayer::new());
    /// let shop = Shop { orders: stack.wrap(channel) };
    /// # }
    /// ```
    #[must_use]
    pub fn attempt_layer<A>(self, layer: A) -> Resilience<A> {
        Resilience {
            deadline: self.deadline,
            idempotency: self.idempotency,
            budget: self.budget,
            retry: self.retry,
            around_attempts: layer,
            wait_for_ready: self.wait_for_ready,
            attempt_timeout: self.attempt_timeout,
            checked: self.checked,
        }
    }
}

impl<A> Resilience<A> {
    /// The timeout of calls whose options say none. A caller's `Request::set_timeout` can only shorten it;
    /// [`CallOptions::timeout`](crate::call::CallOptions::timeout) replaces it, and
    /// [`no_timeout`](crate::call::CallOptions::no_timeout) lifts it. Default: none.
    ///
    /// Under a timeout of zero every call without one of its own fails at once: a WARN event says so.
    #[must_use]
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.deadline = self.deadline.default_timeout(timeout);
        self
    }

    /// Several calls of these methods have the effect of one.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
    pub fn idempotent(mut self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.idempotency = self.idempotency.idempotent(pattern)?;
        Ok(self)
    }

    /// Calls of these methods change nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
    pub fn no_side_effects(mut self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.idempotency = self.idempotency.no_side_effects(pattern)?;
        Ok(self)
    }

    /// An exception from a wider glob: these methods are not to be repeated.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed, and
    /// [`InvalidPattern::NoSuchMethod`] if methods are described before and none of them matches:
    /// the method that it means would stay repeatable. Add all descriptors and tables before.
    pub fn not_idempotent(mut self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.idempotency = self.idempotency.not_idempotent(pattern)?;
        Ok(self)
    }

    /// These methods answer with one message, so that a status in trailers can be retried too.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
    pub fn unary(mut self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.idempotency = self.idempotency.unary(pattern)?;
        Ok(self)
    }

    /// These methods are of this kind.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
    pub fn kind(mut self, pattern: &str, kind: MethodKind) -> Result<Self, InvalidPattern> {
        self.idempotency = self.idempotency.kind(pattern, kind)?;
        Ok(self)
    }

    /// Asks a closure about methods that no path and no glob matches; `None` passes on.
    #[must_use]
    pub fn idempotent_if<F>(mut self, rule: F) -> Self
    where
        F: Fn(&str) -> Option<Safety> + Send + Sync + 'static,
    {
        self.idempotency = self.idempotency.idempotent_if(rule);
        self
    }

    /// Adds what the protos say; see [`IdempotencyLayer::descriptors`].
    ///
    /// # Errors
    ///
    /// [`InvalidDescriptors`] if the bytes are no serialized `FileDescriptorSet`, if it describes no
    /// method, or if it contradicts what was added before.
    pub fn descriptors(mut self, bytes: &[u8]) -> Result<Self, InvalidDescriptors> {
        self.idempotency = self.idempotency.descriptors(bytes)?;
        Ok(self)
    }

    /// Adds what the protos say, from a table of constants; see [`IdempotencyLayer::methods`].
    ///
    /// # Errors
    ///
    /// [`InvalidDescriptors`] if the table is empty, if a path in it is no method's, or if it
    /// contradicts what was added before.
    pub fn methods(
        mut self,
        table: impl IntoIterator<Item: Borrow<Method>>,
    ) -> Result<Self, InvalidDescriptors> {
        self.idempotency = self.idempotency.methods(table)?;
        Ok(self)
    }

    /// Calls of these methods carry this key; see [`IdempotencyLayer::key`].
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
    pub fn key(mut self, pattern: &str, key: IdempotencyKey) -> Result<Self, InvalidPattern> {
        self.idempotency = self.idempotency.key(pattern, key)?;
        Ok(self)
    }

    /// Declares by this layer, for its further settings, instead of what was declared before.
    #[must_use]
    pub fn idempotency(mut self, layer: IdempotencyLayer) -> Self {
        if !self.idempotency.is_silent() {
            events::declarations_replaced();
        }
        self.idempotency = layer;
        self
    }

    /// What is declared of a method, and by whom; see [`IdempotencyLayer::explain`].
    #[must_use]
    pub fn explain(&self, path: &str) -> Explanation {
        self.idempotency.explain(path)
    }

    /// The methods whose safety nobody said; see [`IdempotencyLayer::unannotated_methods`]. Those that
    /// were called are those of all that this builder wrapped.
    #[must_use]
    pub fn unannotated_methods(&self) -> Vec<String> {
        self.idempotency.unannotated_methods()
    }

    /// Bounds extra attempts by this budget. Default: [`TokenBucket::default`].
    #[must_use]
    pub fn budget(mut self, budget: impl Budget + 'static) -> Self {
        self.budget = Spending::Given(BudgetLayer::new(budget));
        self
    }

    /// Bounds extra attempts by the budgets of this layer, such as one for each method.
    #[must_use]
    pub fn budget_layer(mut self, layer: BudgetLayer) -> Self {
        self.budget = Spending::Given(layer);
        self
    }

    /// Does not bound extra attempts but by the policy and the deadline.
    #[must_use]
    pub fn unlimited_budget(mut self) -> Self {
        self.budget = Spending::Unlimited;
        self
    }

    /// Retries by this policy, or by [`Policies`] by method. Default: [`RetryPolicy::new`].
    ///
    /// [`RetryPolicy::new`]: crate::RetryPolicy::new
    #[must_use]
    pub fn retry(self, policies: impl Into<Policies>) -> Self {
        self.retry_layer(RetryLayer::new(policies))
    }

    /// Retries by this layer, for its further settings.
    #[must_use]
    pub fn retry_layer(mut self, layer: RetryLayer) -> Self {
        self.retry = layer;
        self
    }

    /// Believes a server that says of a failure that the request had no effect; see
    /// [`RetryLayer::trust_unprocessed`]. Default: off.
    #[must_use]
    pub fn trust_unprocessed(mut self) -> Self {
        self.retry = self.retry.trust_unprocessed();
        self
    }

    /// Waits by this layer. Default: [`WaitForReadyLayer::new`].
    #[must_use]
    pub fn wait_for_ready(mut self, layer: WaitForReadyLayer) -> Self {
        self.wait_for_ready = layer;
        self
    }

    /// Bounds each attempt by this layer. Default: [`AttemptTimeoutLayer::default`], which bounds
    /// those of calls that ask for it.
    #[must_use]
    pub fn attempt_timeout(mut self, layer: AttemptTimeoutLayer) -> Self {
        self.attempt_timeout = layer;
        self
    }

    /// Puts the stack over a channel: a [`Resilient`], or a [`ResilientWith`] with a layer around attempts.
    pub fn wrap<S>(&self, channel: S) -> <Self as Layer<S>>::Service
    where
        Self: Layer<S>,
    {
        self.layer(channel)
    }

    /// Tells once what of the configuration has no effect.
    fn check(&self) {
        self.checked.say(|| {
            let policies = self.retry.policies().current();
            let mut patterns: Vec<_> = policies.patterns().map(|it| ("retry", it)).collect();
            patterns.extend(
                self.wait_for_ready
                    .patterns()
                    .map(|it| ("wait_for_ready", it)),
            );
            if let Spending::Given(layer) = &self.budget {
                patterns.extend(layer.patterns().map(|it| ("budget", it)));
            }
            for (setter, pattern) in patterns {
                if self.idempotency.lacks(pattern) {
                    events::pattern_without_method(setter, pattern);
                }
            }
            let attempt = self.attempt_timeout.policy().default_timeout();
            if let (Some(attempt), Some(call)) = (attempt, self.deadline.chosen_default())
                && attempt >= call
            {
                events::attempt_timeout_without_effect(attempt, call);
            }
        });
    }

    fn budget_over_a_channel(&self) -> BudgetLayer {
        match &self.budget {
            Spending::Bucket => BudgetLayer::new(TokenBucket::default()),
            Spending::Given(layer) => layer.clone(),
            Spending::Unlimited => BudgetLayer::unlimited(),
        }
    }

    fn waiting<S: Clone>(&self, channel: S) -> Waiting<S> {
        self.check();
        let attempts = self.attempt_timeout.compared().layer(channel);
        self.wait_for_ready.layer(attempts)
    }
}

impl<S: Clone> Layer<S> for Resilience {
    type Service = Resilient<S>;

    fn layer(&self, channel: S) -> Resilient<S> {
        let waiting = self.waiting(channel.clone());
        let (readiness, gate) = (waiting.readiness(), waiting.gate());
        // Nothing stands between the two.
        let retry = self.retry.clone().taking_back(true).layer(waiting);
        let budget = self.budget_over_a_channel();
        let start = retry.start();
        let layers = self.idempotency.layer(budget.layer(retry));
        let ordinary = Ordinary {
            deadline: self.deadline.layer(()),
            idempotency: self.idempotency.layer(()),
            budget: budget.layer(()),
            start,
            gate,
            attempt_timeout: self.attempt_timeout.policy(),
            methods: Methods::new(),
            layers: Spare::new(self.deadline.layer(layers)),
        };
        Resilient::new(channel, ordinary, budget, readiness)
    }
}

impl<S: Clone, A> Layer<S> for Resilience<A>
where
    A: Layer<Waiting<S>>,
    A::Service: Clone,
{
    type Service = ResilientWith<S, A>;

    fn layer(&self, channel: S) -> ResilientWith<S, A> {
        let waiting = self.waiting(channel);
        let readiness = waiting.readiness();
        let retry = self.retry.layer(self.around_attempts.layer(waiting));
        let budget = self.budget_over_a_channel();
        let inner = self.idempotency.layer(budget.layer(retry));
        ResilientWith::new(self.deadline.layer(inner), budget, readiness)
    }
}
