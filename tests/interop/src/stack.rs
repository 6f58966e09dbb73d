use std::time::Duration;

use grpc_resilience::backoff::{Exponential, Jitter};
use grpc_resilience::budget::{Budget, TokenBucket};
use grpc_resilience::deadline::Deadline;
use grpc_resilience::grpc::{Code, MethodKind};
use grpc_resilience::idempotency::Idempotency;
use grpc_resilience::retry::Retry;
use grpc_resilience::{BudgetLayer, DeadlineLayer, IdempotencyLayer, RetryLayer, RetryPolicy};
use test_protos::EchoClient;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceBuilder;

use crate::Failure;
use crate::counted::{Counted, Sends};
use crate::scenarios::Scenario;

/// The layers without wait-for-ready: C-core's calls fail fast too.
pub(crate) type Stack = Deadline<Idempotency<Budget<Retry<Counted<Channel>>>>>;

/// No scenario takes so long, so that one that hangs is seen as one that fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// The service config of `client.py`, said in layers.
pub(crate) fn client(
    address: &str,
    scenario: &Scenario,
    sends: &Sends,
) -> Result<EchoClient<Stack>, Failure> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(PATIENCE))
        .layer(methods()?)
        .layer(budget(scenario)?)
        .layer(RetryLayer::new(policy(scenario.retry_on)?))
        .service(Counted::new(channel, sends.clone()));
    Ok(EchoClient::new(stack))
}

/// All but `Unary` are declared; `client.py` gives that one no retry policy.
fn methods() -> Result<IdempotencyLayer, Failure> {
    let layer = IdempotencyLayer::new()
        .idempotent("/test.v1.Echo/UnaryIdempotent")?
        .idempotent("/test.v1.Echo/ServerStreamIdempotent")?
        .idempotent("/test.v1.Echo/ClientStream")?
        .idempotent("/test.v1.Echo/BidiStream")?
        .unary("/test.v1.Echo/Unary*")?
        .kind("/test.v1.Echo/ServerStream*", MethodKind::ServerStreaming)?
        .kind("/test.v1.Echo/ClientStream", MethodKind::ClientStreaming)?
        .kind("/test.v1.Echo/BidiStream", MethodKind::BidiStreaming)?;
    Ok(layer)
}

fn budget(scenario: &Scenario) -> Result<BudgetLayer, Failure> {
    Ok(match scenario.tokens {
        Some(tokens) => BudgetLayer::new(TokenBucket::new(tokens, 0.1)?),
        None => BudgetLayer::unlimited(),
    })
}

fn policy(retry_on: Code) -> Result<RetryPolicy, Failure> {
    let backoff = Exponential::new(Duration::from_millis(50))?
        .multiplier(2.0)?
        .max(Duration::from_secs(1))?
        .jitter(Jitter::A6);
    let policy = RetryPolicy::new().retry_on(retry_on);
    Ok(policy.max_attempts(4)?.backoff(backoff))
}
