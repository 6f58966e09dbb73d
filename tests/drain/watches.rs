//! Health watches, which would hold up a drain until its hard stop.

use grpc_resilience::Drain;
use tokio::time::{Instant, sleep};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::health_reporter;

use crate::site::{MS, Net, SECOND, Site};

/// What a client would be told.
pub(crate) async fn health_of<H: Health>(health: &HealthServer<H>, name: &str) -> ServingStatus {
    let service = name.to_owned();
    let mut client = HealthClient::new(health.clone());
    let answer = client.check(HealthCheckRequest { service }).await;
    match answer.unwrap().into_inner().status {
        1 => ServingStatus::Serving,
        2 => ServingStatus::NotServing,
        other => panic!("{other}"),
    }
}

// CONTRACT E1, E2
#[tokio::test(start_paused = true)]
async fn a_health_watch_says_not_serving_and_ends_at_the_goaway() {
    let (reporter, health) = health_reporter();
    let mut site = Site::with_health(Drain::builder().health(reporter, [""; 0]), health);
    let channel = Net::of([("10.0.0.1:1", &site)]).channel();
    let mut client = HealthClient::new(channel);
    let watch = client.watch(HealthCheckRequest::default()).await.unwrap();
    let mut states = watch.into_inner();
    assert_eq!(states.message().await.unwrap().unwrap().status, 1);
    sleep(SECOND).await;
    let begin = Instant::now();
    site.drain.start();
    assert_eq!(states.message().await.unwrap().unwrap().status, 2);
    assert!(begin.elapsed().is_zero());
    let end = states.message().await.unwrap_err();
    assert_eq!(end.code(), tonic::Code::Unavailable);
    assert_eq!(end.message(), "the server drains");
    let (ended, after) = site.ended_after(begin).await;
    assert_eq!(ended, Ok(()));
    assert!(
        (10 * SECOND..10 * SECOND + 50 * MS).contains(&after),
        "{after:?}"
    );
}
