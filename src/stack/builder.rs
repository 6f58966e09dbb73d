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
/// Defaults: no timeout; no method declared idempotent; A6's bucket of 300 tokens; 4 attempts on
/// UNAVAILABLE; calls wait while the channel is down; only the deadline bounds an attempt. Each
/// `wrap` creates its own default budget and readiness, shared by the clones of the returned
/// service. A budget that is set by [`budget`](Self::budget) or
/// [`budget_layer`](Self::budget_layer) is shared by all channels that this builder wraps.
///
/// `A` is the layer around each attempt, set by [`attempt_layer`](Self::attempt_layer).
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

/// The default: no layer around attempts.
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

    /// Sets a layer around each attempt, such as an
    /// [`AdaptiveThrottleLayer`](crate::adaptive_throttle::AdaptiveThrottleLayer) or one of your
    /// own. It stands below retry, so it sees every attempt, and above wait-for-ready, so the
    /// attempts that it lets through may wait. Default: none. For several layers use a
    /// `tower::ServiceBuilder`, which is a layer too.
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
    /// Sets the timeout of calls without their own. Default: none.
    ///
    /// A caller's `Request::set_timeout` can only shorten it;
    /// [`CallOptions::timeout`](crate::call::CallOptions::timeout) replaces it, and
    /// [`no_timeout`](crate::call::CallOptions::no_timeout) removes it.
    ///
    /// With a timeout of zero every call without its own fails at once, and a WARN event reports
    /// it.
    #[must_use]
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.deadline = self.deadline.default_timeout(timeout);
        self
    }

    /// Declares methods idempotent: several calls have the effect of one.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method or its glob is malformed.
    pub fn idempotent(mut self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.idempotency = self.idempotency.idempotent(pattern)?;
        Ok(self)
    }

    /// Declares methods without side effects: a call changes nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method or its glob is malformed.
    pub fn no_side_effects(mut self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.idempotency = self.idempotency.no_side_effects(pattern)?;
        Ok(self)
    }

    /// Excludes methods from a wider glob: they are not repeated once they may have run.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method or its glob is malformed, and
    /// [`InvalidPattern::NoSuchMethod`] if methods were described before and none of them matches:
    /// the intended method would stay repeatable. Add all descriptors and tables first.
    pub fn not_idempotent(mut self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.idempotency = self.idempotency.not_idempotent(pattern)?;
        Ok(self)
    }

    /// Declares methods unary: they answer with one message, so a status in trailers can be retried
    /// too.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method or its glob is malformed.
    pub fn unary(mut self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.idempotency = self.idempotency.unary(pattern)?;
        Ok(self)
    }

    /// Declares the kind of methods.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method or its glob is malformed.
    pub fn kind(mut self, pattern: &str, kind: MethodKind) -> Result<Self, InvalidPattern> {
        self.idempotency = self.idempotency.kind(pattern, kind)?;
        Ok(self)
    }

    /// Adds a closure that decides about methods which no path and no glob matches; `None` leaves
    /// the decision to later rules.
    #[must_use]
    pub fn idempotent_if<F>(mut self, rule: F) -> Self
    where
        F: Fn(&str) -> Option<Safety> + Send + Sync + 'static,
    {
        self.idempotency = self.idempotency.idempotent_if(rule);
        self
    }

    /// Adds the declarations of the protos; see [`IdempotencyLayer::descriptors`].
    ///
    /// # Errors
    ///
    /// [`InvalidDescriptors`] if the bytes are not a serialized `FileDescriptorSet`, if it
    /// describes no method, or if it contradicts an earlier one.
    pub fn descriptors(mut self, bytes: &[u8]) -> Result<Self, InvalidDescriptors> {
        self.idempotency = self.idempotency.descriptors(bytes)?;
        Ok(self)
    }

    /// Adds the declarations of the protos from a table of constants; see
    /// [`IdempotencyLayer::methods`].
    ///
    /// # Errors
    ///
    /// [`InvalidDescriptors`] if the table is empty, if a path in it is not a method's, or if it
    /// contradicts an earlier declaration.
    pub fn methods(
        mut self,
        table: impl IntoIterator<Item: Borrow<Method>>,
    ) -> Result<Self, InvalidDescriptors> {
        self.idempotency = self.idempotency.methods(table)?;
        Ok(self)
    }

    /// Adds this key to calls of the methods; see [`IdempotencyLayer::key`].
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method or its glob is malformed.
    pub fn key(mut self, pattern: &str, key: IdempotencyKey) -> Result<Self, InvalidPattern> {
        self.idempotency = self.idempotency.key(pattern, key)?;
        Ok(self)
    }

    /// Replaces all earlier declarations with this layer, which has further settings.
    #[must_use]
    pub fn idempotency(mut self, layer: IdempotencyLayer) -> Self {
        if !self.idempotency.is_silent() {
            events::declarations_replaced();
        }
        self.idempotency = layer;
        self
    }

    /// The declarations for a method and their sources; see [`IdempotencyLayer::explain`].
    #[must_use]
    pub fn explain(&self, path: &str) -> Explanation {
        self.idempotency.explain(path)
    }

    /// The methods without a declared safety; see [`IdempotencyLayer::unannotated_methods`].
    /// Methods that were called are included, for all channels that this builder wrapped.
    #[must_use]
    pub fn unannotated_methods(&self) -> Vec<String> {
        self.idempotency.unannotated_methods()
    }

    /// Sets the budget that bounds extra attempts. Default: [`TokenBucket::default`].
    #[must_use]
    pub fn budget(mut self, budget: impl Budget + 'static) -> Self {
        self.budget = Spending::Given(BudgetLayer::new(budget));
        self
    }

    /// Sets the layer with the budgets that bound extra attempts, such as one for each method.
    #[must_use]
    pub fn budget_layer(mut self, layer: BudgetLayer) -> Self {
        self.budget = Spending::Given(layer);
        self
    }

    /// Removes the budget: only the policy and the deadline bound extra attempts.
    #[must_use]
    pub fn unlimited_budget(mut self) -> Self {
        self.budget = Spending::Unlimited;
        self
    }

    /// Sets the retry policy, or [`Policies`] by method. Default: [`RetryPolicy::new`].
    ///
    /// [`RetryPolicy::new`]: crate::RetryPolicy::new
    #[must_use]
    pub fn retry(self, policies: impl Into<Policies>) -> Self {
        self.retry_layer(RetryLayer::new(policies))
    }

    /// Sets the retry layer, which has further settings.
    #[must_use]
    pub fn retry_layer(mut self, layer: RetryLayer) -> Self {
        self.retry = layer;
        self
    }

    /// Trusts a server that marks a failed request as without effect; see
    /// [`RetryLayer::trust_unprocessed`]. Default: on over this crate's own channel, off over
    /// others.
    #[must_use]
    pub fn trust_unprocessed(mut self) -> Self {
        self.retry = self.retry.trust_unprocessed();
        self
    }

    /// Sets the wait-for-ready layer. Default: [`WaitForReadyLayer::new`].
    ///
    /// A call that waits ends at its [deadline](Self::default_timeout). Without a deadline it waits
    /// for ever, whatever the attempt timeout.
    #[must_use]
    pub fn wait_for_ready(mut self, layer: WaitForReadyLayer) -> Self {
        self.wait_for_ready = layer;
        self
    }

    /// Sets the attempt timeout layer. Default: [`AttemptTimeoutLayer::default`], which bounds the
    /// attempts of calls that set a timeout for them.
    ///
    /// Waiting for the channel is no attempt: a call without a
    /// [deadline](Self::default_timeout) waits for a server that is down for ever.
    #[must_use]
    pub fn attempt_timeout(mut self, layer: AttemptTimeoutLayer) -> Self {
        self.attempt_timeout = layer;
        self
    }

    /// Wraps a channel with the stack: a [`Resilient`], or a [`ResilientWith`] with a layer around
    /// attempts.
    pub fn wrap<S>(&self, channel: S) -> <Self as Layer<S>>::Service
    where
        Self: Layer<S>,
    {
        self.layer(channel)
    }

    /// Warns once of settings without effect.
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
        // No layer stands between retry and wait-for-ready.
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
