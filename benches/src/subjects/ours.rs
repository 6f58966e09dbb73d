use std::time::Duration;

use grpc_resilience::attempt_timeout::{AttemptTimeoutLayer, ZeroTimeout};
use grpc_resilience::methods::InvalidPattern;
use grpc_resilience::{
    BudgetLayer, DeadlineLayer, IdempotencyLayer, Resilience, RetryLayer, RetryPolicy, TokenBucket,
    WaitForReadyLayer,
};
use tower::{Layer, ServiceBuilder};

use crate::call::METHOD;
use crate::driven::drive;

use super::{Group, Subject};

const TIMEOUT: Duration = Duration::from_secs(30);

fn deadline() -> DeadlineLayer {
    DeadlineLayer::new().default_timeout(TIMEOUT)
}

/// The method by its path, others by a glob.
fn by_path() -> Result<IdempotencyLayer, InvalidPattern> {
    IdempotencyLayer::new()
        .idempotent(METHOD)?
        .no_side_effects("/bench.v1.Orders/List*")
}

/// Others by a path, the method by a glob.
fn by_glob() -> Result<IdempotencyLayer, InvalidPattern> {
    IdempotencyLayer::new()
        .idempotent("/bench.v1.Orders/Put")?
        .no_side_effects("/bench.v1.Orders/Ge*")
}

fn budget() -> BudgetLayer {
    BudgetLayer::new(TokenBucket::default())
}

fn attempt_timeout() -> Result<AttemptTimeoutLayer, ZeroTimeout> {
    AttemptTimeoutLayer::new(Duration::from_secs(10))
}

/// A subject of these layers, outermost first.
macro_rules! layers {
    ($group:ident, $name:literal, $($layer:expr),+ $(,)?) => {
        Subject {
            name: $name,
            group: Group::$group,
            build: |service| {
                drive(|| Ok(ServiceBuilder::new()$(.layer($layer))+.service(service)))
            },
        }
    };
}

pub(super) fn all() -> Vec<Subject> {
    idle().into_iter().chain(active()).chain(stacks()).collect()
}

fn idle() -> [Subject; 7] {
    [
        layers!(Idle, "deadline, idle", DeadlineLayer::new()),
        layers!(Idle, "idempotency, idle", IdempotencyLayer::new()),
        layers!(Idle, "budget, idle", BudgetLayer::unlimited()),
        layers!(Idle, "retry, idle", RetryLayer::new(RetryPolicy::never())),
        layers!(
            Idle,
            "wait for ready, idle",
            WaitForReadyLayer::new().fail_fast()
        ),
        layers!(
            Idle,
            "attempt timeout, idle",
            AttemptTimeoutLayer::default()
        ),
        layers!(
            Idle,
            "all five, idle",
            DeadlineLayer::new(),
            IdempotencyLayer::new(),
            BudgetLayer::unlimited(),
            RetryLayer::new(RetryPolicy::never()),
            WaitForReadyLayer::new().fail_fast(),
        ),
    ]
}

fn active() -> [Subject; 7] {
    [
        layers!(Active, "deadline", deadline()),
        layers!(Active, "idempotency, by path", by_path()?),
        layers!(Active, "idempotency, by glob", by_glob()?),
        layers!(Active, "budget", budget()),
        layers!(Active, "retry", RetryLayer::default()),
        layers!(Active, "wait for ready", WaitForReadyLayer::new()),
        layers!(Active, "attempt timeout", attempt_timeout()?),
    ]
}

fn stacks() -> [Subject; 3] {
    [
        layers!(
            Stack,
            "four, without retry",
            deadline(),
            by_path()?,
            budget(),
            WaitForReadyLayer::new(),
        ),
        layers!(
            Stack,
            "all five",
            deadline(),
            by_path()?,
            budget(),
            RetryLayer::default(),
            WaitForReadyLayer::new(),
        ),
        Subject {
            name: "Resilience",
            group: Group::Stack,
            build: |service| {
                drive(|| {
                    let stack = Resilience::new().default_timeout(TIMEOUT);
                    Ok(stack.idempotency(by_path()?).layer(service))
                })
            },
        },
    ]
}
