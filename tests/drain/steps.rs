//! The order of the steps, and what is accepted in each.

use std::time::Duration;

use grpc_resilience::Drain;
use tokio::time::{Instant, sleep};
use tonic_health::ServingStatus;
use tonic_health::server::health_reporter;

use crate::log::Log;
use crate::site::{MS, Net, SECOND, Site, call};
use crate::stuck::is_closed;
use crate::watches::health_of;

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn health_and_hooks_come_first_then_the_notice_then_goaway_and_then_the_hard_stop() {
    let log = Log::new();
    let (reporter, health) = health_reporter();
    for name in ["orders", "other"] {
        let serving = ServingStatus::Serving;
        reporter.set_service_status(name, serving).await;
    }
    let hook = {
        let (log, health) = (log.clone(), health.clone());
        move || async move {
            log.add(&format!(
                "hook, orders {:?}",
                health_of(&health, "orders").await
            ));
            sleep(2 * SECOND).await;
            log.add("deregistered");
        }
    };
    let builder = Drain::builder().health(reporter, ["orders"]).on_start(hook);
    let mut site = Site::with_health(builder, health.clone());
    let silent = site.dial().unwrap();
    let draining = site.drain.draining();
    assert!(!draining.is_draining() && draining.remaining().is_none());
    for wait in ["started", "goaway"] {
        let (log, draining) = (log.clone(), draining.clone());
        tokio::spawn(async move {
            if wait == "started" {
                draining.started().await;
            } else {
                draining.await;
            }
            log.add(wait);
        });
    }
    sleep(SECOND).await;
    let begin = Instant::now();
    site.drain.start();
    let (ended, after) = site.ended_after(begin).await;
    log.add("ended");
    assert_eq!(ended, Ok(()));
    assert_eq!(after.as_secs(), 25);
    assert!(is_closed(silent).await);
    let steps = [
        "1 started",
        "1 hook, orders NotServing",
        "3 deregistered",
        "13 goaway",
        "26 ended",
    ];
    assert_eq!(log.take(), steps);
    let states = ["", "orders", "other"].map(|name| health_of(&health, name));
    let [all, orders, other] = states;
    let states = [all.await, orders.await, other.await];
    let not = ServingStatus::NotServing;
    assert_eq!(states, [not, not, ServingStatus::Serving]);
}

// CONTRACT E4
#[tokio::test(start_paused = true)]
async fn during_the_notice_time_new_connections_are_served_and_after_the_goaway_they_are_closed() {
    let mut site = Site::new(Drain::builder());
    let net = Net::of([("10.0.0.1:1", &site)]);
    // Something holds the server until the hard stop.
    let silent = site.dial().unwrap();
    site.drain.start();
    sleep(9_999 * MS).await;
    call(&net.channel(), MS / 10).await.expect("it serves on");
    let begin = Instant::now();
    sleep(2 * MS).await;
    assert!(site.dial().is_err() || is_closed(site.dial().unwrap()).await);
    assert_eq!(begin.elapsed(), 2 * MS, "at once");
    site.ended_after(begin).await.0.unwrap();
    assert!(is_closed(silent).await);
}

// CONTRACT E4
#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_at_the_moment_of_the_goaway_is_closed() {
    use tokio_stream::StreamExt as _;
    let drain = Drain::builder().no_notice().build().unwrap();
    let (ours, theirs) = tokio::io::duplex(1);
    let mut incoming = drain.incoming(tokio_stream::once(Ok::<_, std::io::Error>(theirs)));
    drain.start();
    drain.goaway().await;
    assert!(incoming.next().await.is_none());
    drop(incoming);
    assert!(is_closed(ours).await);
}

// CONTRACT E4
#[tokio::test(start_paused = true)]
async fn the_listener_is_closed_at_the_goaway_and_not_only_when_the_server_has_ended() {
    use tokio_stream::StreamExt as _;
    let drain = Drain::builder().no_notice().build().unwrap();
    let (accept, accepted) = tokio::sync::mpsc::unbounded_channel();
    let accepted = tokio_stream::wrappers::UnboundedReceiverStream::new(accepted);
    let mut incoming = drain.incoming(accepted.map(std::io::Result::<tokio::io::DuplexStream>::Ok));
    let waits = tokio::time::timeout(MS, incoming.next());
    assert!(waits.await.is_err());
    assert!(!accept.is_closed());
    drain.start();
    drain.goaway().await;
    assert!(incoming.next().await.is_none());
    assert!(accept.is_closed(), "the listener is dropped");
    // A server may ask once more.
    assert!(incoming.next().await.is_none());
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn what_follows_a_server_whose_drain_is_over_has_the_rest_of_the_grace() {
    let mut site = Site::new(Drain::builder().no_notice());
    let drain = site.drain.clone();
    let begin = Instant::now();
    drain.start();
    let (ended, after) = site.ended_after(begin).await;
    assert_eq!((ended, after.as_secs()), (Ok(()), 0));
    // Such as a second server, or the flush of a log.
    assert_eq!(drain.run(sleep(24 * SECOND)).await, Ok(()));
    assert_eq!(begin.elapsed().as_secs(), 24);
    assert!(drain.run(std::future::pending::<()>()).await.is_err());
    let after = begin.elapsed();
    assert!(
        (25 * SECOND..=25 * SECOND + 100 * MS).contains(&after),
        "{after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn handlers_learn_how_much_time_is_left() {
    let drain = Drain::builder().build().unwrap();
    let draining = drain.draining();
    drain.start();
    draining.started().await;
    assert_eq!(draining.remaining(), Some(25 * SECOND));
    draining.clone().await;
    assert_eq!(draining.remaining(), Some(15 * SECOND));
    sleep(60 * SECOND).await;
    assert_eq!(draining.remaining(), Some(Duration::ZERO));
    // A clone waits anew, and a future that was ready is not asked for again.
    draining.clone().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_ends_is_dropped_at_the_hard_stop() {
    let drain = Drain::builder().build().unwrap();
    let begin = Instant::now();
    drain.start();
    drain.start();
    let never = drain.run(std::future::pending::<()>()).await;
    assert!(never.is_err());
    let after = begin.elapsed();
    assert!(
        (25 * SECOND..=25 * SECOND + 100 * MS).contains(&after),
        "{after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_drained_runs_until_it_ends() {
    let drain = Drain::builder().build().unwrap();
    let day = async {
        sleep(86_400 * SECOND).await;
        "a day"
    };
    let begin = Instant::now();
    assert_eq!(drain.run(day).await, Ok("a day"));
    assert_eq!(begin.elapsed(), 86_400 * SECOND, "no hook is waited for");
}
