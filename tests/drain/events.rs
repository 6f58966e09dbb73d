//! What an operator sees of a drain.

use std::time::Duration;

use grpc_resilience::Drain;
use tokio::time::sleep;

use crate::ear::Ear;
use crate::log::Log;
use crate::site::{SECOND, Site};

#[tokio::test(start_paused = true)]
async fn each_step_of_a_drain_is_an_event() {
    let ear = Ear::new();
    let builder = Drain::builder()
        .on_start(|| async { Err::<(), _>("no registry") })
        .on_start(|| sleep(60 * SECOND))
        .on_start(|| sleep(70 * SECOND));
    let mut site = Site::new(builder);
    let _silent = site.dial().unwrap();
    tokio::task::yield_now().await;
    site.drain.start();
    let _ = (&mut site.server).await;
    assert_eq!(
        ear.text(),
        "INFO message=the server drains: it reports NOT_SERVING and runs the hooks notice=10s grace=25s\n\
         WARN message=a hook of the drain failed error=\"no registry\"\n\
         WARN message=hooks of the drain did not end in time, and were dropped hooks=2 timeout=5s\n\
         INFO message=the drain is announced: the server serves on for the notice time after=5s notice=10s\n\
         INFO message=the server sends GOAWAY, and its running calls end after=15s connections=1\n\
         WARN message=the grace of the drain is over: what was still open is cut off after=25s connections=1"
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_ends_early_says_so() {
    let ear = Ear::new();
    let mut site = Site::new(Drain::builder().no_notice());
    site.drain.start();
    let _ = (&mut site.server).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(
        ear.count("INFO message=the drain is over"),
        1,
        "{}",
        ear.text()
    );
    assert_eq!(ear.count("WARN"), 0, "{}", ear.text());
    assert_eq!(ear.count("announced"), 0, "{}", ear.text());
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn a_server_that_ends_by_itself_waits_for_its_deregistration_and_no_hook_is_late() {
    let (ear, log) = (Ear::new(), Log::new());
    let hook = log.clone();
    let deregister = async move || {
        sleep(3 * SECOND).await;
        hook.add("deregistered");
    };
    let drain = Drain::builder().on_start(deregister).build().unwrap();
    drain.start();
    drain.run(sleep(SECOND)).await.unwrap();
    log.add("ended");
    assert_eq!(log.take(), ["3 deregistered", "3 ended"]);
    drain.goaway().await;
    assert_eq!(ear.count("WARN"), 0, "{}", ear.text());
    // It serves no more.
    assert_eq!(ear.count("announced"), 0, "{}", ear.text());
    assert_eq!(ear.count("GOAWAY"), 0, "{}", ear.text());
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn a_server_that_ends_by_itself_waits_for_a_hook_no_longer_than_its_time() {
    let (ear, log) = (Ear::new(), Log::new());
    let drain = Drain::builder().on_start(|| sleep(60 * SECOND));
    let drain = drain.build().unwrap();
    drain.start();
    drain.run(sleep(SECOND)).await.unwrap();
    log.add("ended");
    assert_eq!(log.take(), ["5 ended"]);
    drain.goaway().await;
    assert_eq!(ear.count("WARN"), 1, "{}", ear.text());
    assert_eq!(ear.count("did not end in time"), 1, "{}", ear.text());
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn a_server_that_ends_within_the_notice_time_ends_its_drain() {
    let (ear, log) = (Ear::new(), Log::new());
    let drain = Drain::builder().build().unwrap();
    drain.start();
    drain.run(sleep(2 * SECOND)).await.unwrap();
    drain.goaway().await;
    log.add("over");
    assert_eq!(log.take(), ["2 over"]);
    assert_eq!(
        ear.count("INFO message=the drain is over: all connections are closed after=2s"),
        1,
        "{}",
        ear.text()
    );
    assert_eq!(ear.count("GOAWAY"), 0, "{}", ear.text());
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn a_drain_that_runs_no_server_is_over_with_its_last_connection() {
    let ear = Ear::new();
    let drain = Drain::builder().no_notice().build().unwrap();
    let connections = [(); 2].map(|()| drain.wrap(tokio::io::empty()));
    drain.start();
    for connection in connections {
        sleep(SECOND).await;
        assert_eq!(ear.count("over"), 0, "{}", ear.text());
        drop(connection);
    }
    sleep(60 * SECOND).await;
    assert_eq!(ear.count("is over: all connections are closed after=2s"), 1);
    assert_eq!(ear.count("WARN"), 0, "{}", ear.text());
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn a_drain_without_a_connection_is_over_at_its_goaway() {
    let ear = Ear::new();
    let drain = Drain::builder().no_notice().build().unwrap();
    let incoming = drain.incoming(tokio_stream::pending::<std::io::Result<tokio::io::Empty>>());
    drain.start();
    sleep(60 * SECOND).await;
    drop(incoming);
    assert_eq!(
        ear.count("is over: all connections are closed after=0ns"),
        1
    );
    assert_eq!(ear.count("WARN"), 0, "{}", ear.text());
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn a_drain_that_knows_no_connection_is_over_with_its_server() {
    let ear = Ear::new();
    let drain = Drain::builder().no_notice().build().unwrap();
    // Such as one of axum, which accepts by itself.
    let goaway = drain.goaway();
    let server = async {
        goaway.await;
        sleep(5 * SECOND).await;
    };
    drain.start();
    drain.run(server).await.unwrap();
    sleep(SECOND).await;
    let over = "is over: all connections are closed after=5s";
    assert_eq!(ear.count(over), 1, "{}", ear.text());
}
