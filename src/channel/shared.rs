use std::fmt;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use std::sync::Arc;

use super::changes::Changes;
use super::config::Settings;
use super::connect::AnyConnector;
use super::exchange::Heads;
use super::health::Check;
use super::lines::Lines;
use crate::kernel::rng::Rng;
use crate::kernel::timer::Home;

/// What the endpoints and the calls of a channel share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) connector: AnyConnector,
    pub(super) heads: Heads,
    pub(super) health: Option<Arc<Check>>,
    pub(super) runtime: Handle,
    pub(super) home: Home,
    pub(super) rng: Rng,
    pub(super) lines: Arc<Lines>,
    pub(super) changes: Arc<Changes>,
    /// The clock of the endpoints' loads counts from it.
    pub(super) epoch: Instant,
    /// Connections that are not over.
    open: watch::Sender<usize>,
}

impl Shared {
    pub(super) fn new(
        settings: Settings,
        connector: AnyConnector,
        heads: Heads,
        runtime: Handle,
        lines: Arc<Lines>,
    ) -> Self {
        let service = settings.health_check.clone();
        let check = |service| Check::new(service, |head| heads.prepare(head));
        Self {
            health: service.map(check).map(Arc::new),
            settings,
            connector,
            heads,
            runtime,
            home: Home::here(),
            rng: Rng::default(),
            lines,
            changes: Arc::default(),
            epoch: Instant::now(),
            open: watch::Sender::new(0),
        }
    }

    pub(super) fn opens(&self) {
        self.open.send_modify(|open| *open += 1);
    }

    pub(super) fn closes(&self) {
        self.open.send_modify(|open| *open -= 1);
    }

    /// Returns once all connections are over.
    pub(super) async fn all_closed(&self) {
        // The sender lives in `self`.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
