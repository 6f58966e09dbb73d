//! What starts a drain.

use std::process::Command;
use std::time::Duration;

use grpc_resilience::Drain;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::site::SECOND;

#[tokio::test(start_paused = true)]
async fn a_drain_starts_when_a_future_ends() {
    let drain = Drain::builder().build().unwrap();
    drain.start_on(tokio::time::sleep(3 * SECOND));
    let begin = Instant::now();
    drain.draining().started().await;
    assert_eq!(begin.elapsed(), 3 * SECOND);
}

#[tokio::test]
async fn what_waits_for_a_signal_ends_with_the_last_handle() {
    let (held, mut dropped) = oneshot::channel::<()>();
    let drain = Drain::builder().build().unwrap();
    drain.start_on(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
    let connection = drain.wrap(tokio::io::empty());
    drop(drain);
    tokio::task::yield_now().await;
    assert!(dropped.try_recv() == Err(oneshot::error::TryRecvError::Empty));
    drop(connection);
    assert!(dropped.await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn a_drain_starts_at_sigterm() {
    let drain = Drain::builder().build().unwrap();
    drain.start_on_sigterm().unwrap();
    let pid = std::process::id().to_string();
    let kill = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(kill.unwrap().success());
    let started = drain.draining();
    let started = started.started();
    let started = tokio::time::timeout(Duration::from_secs(20), started).await;
    assert!(started.is_ok());
}
