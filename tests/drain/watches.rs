//! Health watches, which would hold up a drain until its hard stop.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use grpc_resilience::Drain;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use tokio::time::{Instant, sleep};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::health_reporter;
use tower::{Layer as _, ServiceExt as _, service_fn};

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

const WATCH: &str = "/grpc.health.v1.Health/Watch";

// CONTRACT E2
#[tokio::test(start_paused = true)]
async fn a_watch_that_the_goaway_has_ended_is_over_and_stays_so() {
    let drain = Drain::builder().no_notice().build().unwrap();
    let silent = || StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let watched = move |_| ready(Ok::<_, Infallible>(Response::new(silent())));
    let service = drain.layer().layer(service_fn(watched));
    let answer = service.oneshot(Request::get(WATCH).body(()).unwrap());
    let mut body = answer.await.unwrap().into_body();
    assert!(!body.is_end_stream());
    drain.start();
    let end = body.frame().await.unwrap().unwrap();
    assert_eq!(end.trailers_ref().unwrap()["grpc-status"], "14");
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_watch_promises_no_length_because_the_goaway_may_end_it_and_other_bodies_keep_theirs() {
    let drain = Drain::builder().build().unwrap();
    let empty = |_| ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    for (path, exact) in [(WATCH, None), ("/orders.v1.Orders/Get", Some(0))] {
        let service = drain.layer().layer(service_fn(empty));
        let answer = service.oneshot(Request::get(path).body(()).unwrap());
        let body = answer.await.unwrap().into_body();
        assert_eq!(body.size_hint().exact(), exact, "{path}");
    }
}
