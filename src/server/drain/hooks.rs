//! The first step of a drain: health, and what the user does.

use std::fmt;
use std::pin::Pin;

use tokio::task::JoinSet;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::error::BoxError;
use crate::events;

type HookFuture = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// What a hook of a drain may return: nothing, or a result whose error becomes an event.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::Drain;
///
/// let drain = Drain::builder()
///     .on_start(|| async { println!("draining") })
///     .on_start(|| async { std::fs::remove_file("/run/orders/ready") })
///     .build()?;
/// # Ok(())
/// # }
/// ```
pub trait HookOutput {
    /// The failure, if there is one.
    ///
    /// # Errors
    ///
    /// The hook's own.
    fn into_result(self) -> Result<(), BoxError>;
}

impl HookOutput for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> HookOutput for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// Runs once, when the drain begins.
#[derive(Default)]
pub(super) struct Hooks {
    health: Vec<(HealthReporter, Vec<String>)>,
    hooks: Vec<Box<dyn FnOnce() -> HookFuture + Send>>,
}

impl Hooks {
    pub(super) fn health(&mut self, reporter: HealthReporter, names: Vec<String>) {
        self.health.push((reporter, names));
    }

    pub(super) fn push<F, Fut>(&mut self, hook: F)
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output: HookOutput> + Send + 'static,
    {
        let boxed = move || -> HookFuture {
            let hook = hook();
            Box::pin(async move { hook.await.into_result() })
        };
        self.hooks.push(Box::new(boxed));
    }

    pub(super) async fn set_not_serving(&mut self) {
        for (reporter, names) in self.health.drain(..) {
            for name in names {
                reporter
                    .set_service_status(name, ServingStatus::NotServing)
                    .await;
            }
        }
    }

    /// All hooks at once, each in a task: one that hangs, or panics, holds up no other.
    pub(super) fn start(&mut self) -> JoinSet<Result<(), BoxError>> {
        let mut running = JoinSet::new();
        for hook in self.hooks.drain(..) {
            running.spawn(async move { hook().await });
        }
        running
    }
}

/// Returns when all have ended.
pub(super) async fn join(running: &mut JoinSet<Result<(), BoxError>>) {
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => events::drain::hook_failed(&error.to_string()),
            Err(panic) => events::drain::hook_failed(&panic.to_string()),
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("health", &self.health.len())
            .field("hooks", &self.hooks.len())
            .finish()
    }
}
