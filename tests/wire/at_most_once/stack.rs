//! What stands between the calls and the channel.

use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::{
    AttemptTimeoutLayer, BoxError, BudgetLayer, DeadlineLayer, Resilience, RetryLayer,
    WaitForReadyLayer,
};
use http::{Request, Response};
use tonic::body::Body;
use tower::layer::util::Identity;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _};
use tower_service::Service;

use super::recorder::Recorder;
use super::setup::Setup;

/// Long enough for a retry, short enough to pass while the peer stalls.
const ATTEMPT: Duration = Duration::from_millis(40);

/// A deadline that ends nothing.
const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stack {
    /// `RetryLayer` alone.
    Retry,
    /// `RetryLayer` under a deadline.
    RetryInTime,
    /// `WaitForReadyLayer` alone.
    WaitForReady,
    /// With the fast path.
    Resilience,
    /// `Resilience` with a layer around attempts, which does nothing.
    AttemptLayer,
    /// `Resilience` whose attempts are bounded.
    AttemptTimeout,
    /// The README's.
    Builder,
    /// Deadline and retry around `Resilience`, which then repeats nothing itself.
    Nested,
}

pub(super) type Stacked = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

impl Stack {
    pub(super) const ALL: [Self; 8] = [
        Self::Retry,
        Self::RetryInTime,
        Self::WaitForReady,
        Self::Resilience,
        Self::AttemptLayer,
        Self::AttemptTimeout,
        Self::Builder,
        Self::Nested,
    ];

    /// Whether failures are retried, not only waited for.
    pub(super) fn retries(self) -> bool {
        self != Self::WaitForReady
    }

    /// Whether it has the layer that declares methods by itself.
    pub(super) fn declares(self) -> bool {
        !matches!(self, Self::Retry | Self::RetryInTime | Self::WaitForReady)
    }

    pub(super) fn has_deadline(self) -> bool {
        !matches!(self, Self::Retry | Self::WaitForReady)
    }

    pub(super) fn over(self, channel: Recorder, setup: &Setup) -> Stacked {
        let waiting = WaitForReadyLayer::new()
            .max_backoff(setup.pace.longest_wait)
            .unwrap();
        let declarations = setup.declarations();
        let retry = setup.retry();
        let resilience = Resilience::new()
            .idempotency(declarations.clone())
            .unlimited_budget()
            .retry_layer(retry.clone())
            .wait_for_ready(waiting.clone());
        match self {
            Self::Retry if setup.knows_kinds => boxed(declarations.layer(retry.layer(channel))),
            Self::Retry => boxed(retry.layer(channel)),
            Self::RetryInTime => boxed(
                ServiceBuilder::new()
                    .layer(DeadlineLayer::new().default_timeout(HOUR))
                    .option_layer(setup.knows_kinds.then_some(declarations))
                    .layer(retry)
                    .service(channel),
            ),
            Self::WaitForReady if setup.knows_kinds => {
                boxed(declarations.layer(waiting.layer(channel)))
            }
            Self::WaitForReady => boxed(waiting.layer(channel)),
            Self::Resilience => boxed(resilience.wrap(channel)),
            Self::AttemptLayer => boxed(resilience.attempt_layer(Identity::new()).wrap(channel)),
            Self::AttemptTimeout => {
                let bound = AttemptTimeoutLayer::new(ATTEMPT).unwrap();
                boxed(resilience.attempt_timeout(bound).wrap(channel))
            }
            Self::Builder => boxed(
                ServiceBuilder::new()
                    .layer(DeadlineLayer::new())
                    .layer(declarations)
                    .layer(BudgetLayer::unlimited())
                    .layer(retry)
                    .layer(waiting)
                    .service(channel),
            ),
            Self::Nested => boxed(
                ServiceBuilder::new()
                    .layer(DeadlineLayer::new())
                    .layer(declarations)
                    .layer(setup.trusting(RetryLayer::new(Setup::policy())))
                    .service(resilience.wrap(channel)),
            ),
        }
    }
}

fn boxed<S, R>(service: S) -> Stacked
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let service = service.map_response(|answer| answer.map(Body::new));
    BoxCloneSyncService::new(service.map_err(Into::into))
}
