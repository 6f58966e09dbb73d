use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tonic_health::server::HealthReporter;

use super::hooks::Hooks;
use super::machine::Times;
use super::shared::Shared;
use super::{Drain, HookOutput, InvalidDrain};
use crate::error::Faults;

/// Configures a [`Drain`]. Setters never fail; [`build`](Self::build) reports all faults at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::Drain;
/// use std::time::Duration;
///
/// let (reporter, health) = tonic_health::server::health_reporter();
/// let drain = Drain::builder()
///     .health(reporter, ["orders.v1.Orders"])
///     .notice(Duration::from_secs(5))
///     .grace(Duration::from_secs(50)) // with a terminationGracePeriodSeconds of 60
///     .build()?;
/// # drop(health);
/// # Ok(())
/// # }
/// ```
#[must_use = "a drain is made by `build`"]
#[derive(Debug)]
pub struct DrainBuilder {
    hooks: Hooks,
    hook_timeout: Duration,
    notice: Option<Duration>,
    grace: Duration,
}

pub(super) const LONGER_THAN_ZERO: &str = "it must be longer than zero";

/// No drain lasts longer, so that no sum of times can overflow.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Drain {
    /// A drain with a notice of 10 s and a grace of 25 s.
    pub fn builder() -> DrainBuilder {
        DrainBuilder::new()
    }
}

impl DrainBuilder {
    fn new() -> Self {
        Self {
            hooks: Hooks::default(),
            hook_timeout: Duration::from_secs(5),
            notice: Some(Duration::from_secs(10)),
            grace: Duration::from_secs(25),
        }
    }

    /// Reports these services, and the server as a whole (`""`), as `NOT_SERVING` when the drain
    /// begins, before the hooks run. Default: none.
    ///
    /// `services` are full names, such as `orders.v1.Orders`. Several calls add up.
    /// Nothing must set a service to SERVING again: stop what follows some state in a hook, such as
    /// a `LeaderHealth`.
    pub fn health<N: Into<String>>(
        mut self,
        reporter: HealthReporter,
        services: impl IntoIterator<Item = N>,
    ) -> Self {
        let mut names = vec![String::new()];
        names.extend(services.into_iter().map(Into::into));
        self.hooks.health(reporter, names);
        self
    }

    /// Runs when the drain begins, such as the deregistration from a service registry. Default:
    /// none.
    ///
    /// Hooks run at the same time, after the health is reported. The notice time begins when all
    /// have ended, or after the [`hook_timeout`](Self::hook_timeout). A hook that fails or panics
    /// is an event (WARN), and the drain goes on.
    pub fn on_start<F, Fut>(mut self, hook: F) -> Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output: HookOutput> + Send + 'static,
    {
        self.hooks.push(hook);
        self
    }

    /// The longest time for health and hooks; then those that still run are dropped. Default: 5 s,
    /// long enough for a registry that elects a leader.
    pub fn hook_timeout(mut self, timeout: Duration) -> Self {
        self.hook_timeout = timeout;
        self
    }

    /// How long the server serves on, new connections too, after it has told others to send no
    /// more: longer than its clients take to hear of it. Default: 10 s, as most clients poll their
    /// registry or their health check within that time.
    pub fn notice(mut self, notice: Duration) -> Self {
        self.notice = Some(notice);
        self
    }

    /// GOAWAY follows the hooks at once: for servers whose clients hear of a drain by its GOAWAY
    /// alone.
    pub fn no_notice(mut self) -> Self {
        self.notice = None;
        self
    }

    /// From the beginning of the drain to the hard stop, so it has the hooks and the notice in it.
    /// Default: 25 s, below the 30 s after which Kubernetes kills a pod
    /// (`terminationGracePeriodSeconds`). At most a day.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The drain, which does nothing before it is started.
    ///
    /// # Errors
    ///
    /// All settings that can't be, and a call outside of a tokio runtime: the drain runs on the
    /// one in which it is built.
    pub fn build(self) -> Result<Drain, InvalidDrain> {
        let mut faults = self.faults();
        let runtime = Handle::try_current();
        if let Err(error) = &runtime {
            faults.add("build", error.to_string());
        }
        let runtime = match runtime {
            Ok(runtime) if faults.is_empty() => runtime,
            _ => return Err(InvalidDrain::new(faults)),
        };
        let times = Times {
            hooks: self.hook_timeout,
            notice: self.notice.unwrap_or_default(),
            grace: self.grace,
        };
        let shared = Arc::new(Shared::new(times, self.hooks, runtime));
        Ok(Drain { shared })
    }

    fn faults(&self) -> Faults {
        let settings = [
            ("hook_timeout", Some(self.hook_timeout)),
            ("notice", self.notice),
            ("grace", Some(self.grace)),
        ];
        let mut faults = Faults::default();
        for (setter, time) in settings {
            faults.check(setter, time != Some(Duration::ZERO), || {
                LONGER_THAN_ZERO.into()
            });
        }
        let before = self
            .hook_timeout
            .saturating_add(self.notice.unwrap_or_default());
        if !self.grace.is_zero() && self.grace <= before {
            let text = format!(
                "it must be longer than the hook_timeout and the notice together, {before:?}, \
                 because it has them in it"
            );
            faults.add("grace", text);
        }
        if self.grace > LONGEST {
            faults.add("grace", "it must be at most a day");
        }
        faults
    }
}
