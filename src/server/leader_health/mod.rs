//! Tells clients by gRPC's health protocol which server is the leader.
//!
//! A client that checks the health of `quis.RaftLeader` on every server sends its calls to the
//! leader, and follows it when it changes. The name is the one that the Go library
//! [raft-grpc-leader-rpc][seed] uses, so its clients follow these servers, too.
//!
//! [seed]: https://github.com/Jille/raft-grpc-leader-rpc
//!
//! See [`LeaderHealth`] for an example.

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The service name whose health says which server is the leader.
pub const RAFT_LEADER: &str = "quis.RaftLeader";

/// Reports some services as SERVING exactly while this server is the leader (CONTRACT E5).
///
/// `quis.RaftLeader` is always among them. While this server is no leader, and after this is
/// dropped, they are `NOT_SERVING`; so they are if the sender of the receiver is dropped. All other
/// names of the reporter stay as they are.
///
/// ```
/// use grpc_resilience::leader_health::LeaderHealth;
/// use tokio::sync::watch;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (is_leader, leadership) = watch::channel(false);
/// let (reporter, health) = tonic_health::server::health_reporter();
/// let leader_health = LeaderHealth::start(reporter, ["kv.v1.Kv"], leadership).await;
/// // Server::builder().add_service(health).add_service(KvServer::new(kv))
///
/// is_leader.send_replace(true); // when Raft says so
/// # drop(health);
/// leader_health.stop().await; // before the server stops
/// # }
/// ```
#[must_use = "the services are NOT_SERVING once this is dropped"]
#[derive(Debug)]
pub struct LeaderHealth {
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl LeaderHealth {
    /// Reports the current state, and each change until this is dropped.
    ///
    /// `names` are the full names of services that only the leader serves, such as `kv.v1.Kv`. When
    /// the returned future is ready, the health service answers for all of them.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn start<N: Into<String>>(
        reporter: HealthReporter,
        names: impl IntoIterator<Item = N>,
        mut is_leader: watch::Receiver<bool>,
    ) -> Self {
        let mut services: Vec<String> = names.into_iter().map(Into::into).collect();
        services.push(RAFT_LEADER.into());
        let report = Report { reporter, services };
        let is_now = *is_leader.borrow_and_update();
        report.set(is_now).await;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let followed = report.follow(is_leader);
            stopped.run_until_cancelled(followed).await;
            report.set(false).await;
        });
        Self {
            stop: stop.drop_guard(),
            task,
        }
    }

    /// Reports `NOT_SERVING`, and returns once clients can see it.
    pub async fn stop(self) {
        let Self { stop, task } = self;
        drop(stop);
        // The task panics only where the reporter does.
        let _ = task.await;
    }
}

struct Report {
    reporter: HealthReporter,
    services: Vec<String>,
}

impl Report {
    /// Returns once nothing can change any more.
    async fn follow(&self, mut is_leader: watch::Receiver<bool>) {
        while is_leader.changed().await.is_ok() {
            let is_now = *is_leader.borrow_and_update();
            self.set(is_now).await;
        }
    }

    async fn set(&self, is_leader: bool) {
        let status = if is_leader {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::health_server::{Health, HealthServer};
    use tonic_health::server::health_reporter;

    /// The status names that clients see for these services.
    async fn seen<H: Health>(health: &HealthServer<H>, names: &[&str]) -> Vec<String> {
        let mut client = HealthClient::new(health.clone());
        let mut seen = Vec::new();
        for name in names {
            let service = (*name).to_owned();
            let answer = client.check(HealthCheckRequest { service }).await;
            seen.push(match answer {
                Ok(answer) => answer.into_inner().status().as_str_name().to_owned(),
                Err(status) => format!("{:?}", status.code()),
            });
        }
        seen
    }

    /// Waits until the leader's health is this; the report's task runs meanwhile.
    async fn becomes<H: Health>(health: &HealthServer<H>, status: &str) {
        while seen(health, &[RAFT_LEADER]).await != [status] {
            tokio::task::yield_now().await;
        }
    }

    // CONTRACT E5
    #[tokio::test]
    async fn the_named_services_serve_exactly_while_this_server_leads() {
        let (leads, leadership) = watch::channel(false);
        let (reporter, health) = health_reporter();
        reporter
            .set_service_status("other.v1.Other", ServingStatus::Serving)
            .await;
        let names = ["kv.v1.Kv", RAFT_LEADER, "other.v1.Other", "unknown"];
        let leader = LeaderHealth::start(reporter, ["kv.v1.Kv"], leadership).await;
        let follows = ["NOT_SERVING", "NOT_SERVING", "SERVING", "NotFound"];
        assert_eq!(seen(&health, &names).await, follows);
        leads.send_replace(true);
        becomes(&health, "SERVING").await;
        let serves = ["SERVING", "SERVING", "SERVING", "NotFound"];
        assert_eq!(seen(&health, &names).await, serves);
        leads.send_replace(false);
        becomes(&health, "NOT_SERVING").await;
        leads.send_replace(true);
        becomes(&health, "SERVING").await;
        leader.stop().await;
        assert_eq!(seen(&health, &names).await, follows);
    }

    // CONTRACT E5
    #[tokio::test]
    async fn a_leader_is_reported_at_once_and_no_more_once_its_report_is_dropped() {
        let (leads, leadership) = watch::channel(true);
        let (reporter, health) = health_reporter();
        let leader = LeaderHealth::start(reporter, [""; 0], leadership).await;
        assert_eq!(seen(&health, &[RAFT_LEADER]).await, ["SERVING"]);
        drop(leader);
        becomes(&health, "NOT_SERVING").await;
        assert!(leads.is_closed(), "nothing follows the leadership any more");
    }

    // CONTRACT E5
    #[tokio::test]
    async fn a_server_whose_leadership_is_told_by_nothing_any_more_is_no_leader() {
        let (leads, leadership) = watch::channel(true);
        let (reporter, health) = health_reporter();
        let leader = LeaderHealth::start(reporter, ["kv.v1.Kv"], leadership).await;
        drop(leads);
        becomes(&health, "NOT_SERVING").await;
        leader.stop().await;
        assert_eq!(seen(&health, &["kv.v1.Kv"]).await, ["NOT_SERVING"]);
    }
}
