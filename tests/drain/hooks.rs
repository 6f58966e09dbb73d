//! Hooks that fail, panic or hang.

use std::time::Duration;

use grpc_resilience::Drain;
use grpc_resilience::error::Fault;
use tokio::time::{Instant, sleep};

use crate::ear::Ear;
use crate::log::Log;
use crate::site::SECOND;

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn hooks_run_at_once_and_one_that_fails_or_panics_holds_up_no_other() {
    let (ear, log) = (Ear::new(), Log::new());
    let (failing, slow) = (log.clone(), log.clone());
    let drain = Drain::builder()
        .on_start(|| async { assert_eq!(1, 2, "a hook that panics") })
        .on_start(move || async move {
            failing.add("fails");
            Err("no registry")
        })
        .on_start(move || async move {
            sleep(3 * SECOND).await;
            slow.add("deregistered");
        })
        .build()
        .unwrap();
    drain.start();
    drain.goaway().await;
    log.add("goaway");
    assert_eq!(log.take(), ["0 fails", "3 deregistered", "13 goaway"]);
    assert_eq!(ear.count("WARN message=a hook of the drain failed"), 2);
    assert_eq!(ear.count("a hook that panics"), 1, "{}", ear.text());
}

// CONTRACT E1
#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_is_dropped_after_its_time() {
    let log = Log::new();
    let hangs = log.clone();
    let drain = Drain::builder()
        .hook_timeout(4 * SECOND)
        .on_start(move || async move {
            sleep(20 * SECOND).await;
            hangs.add("never");
        })
        .build()
        .unwrap();
    drain.start();
    drain.goaway().await;
    log.add("goaway");
    sleep(60 * SECOND).await;
    assert_eq!(log.take(), ["14 goaway"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_runs_once_however_often_the_drain_is_started() {
    let log = Log::new();
    let hook = log.clone();
    let drain = Drain::builder()
        .on_start(move || async move { hook.add("hook") })
        .build()
        .unwrap();
    let begin = Instant::now();
    for _ in 0..3 {
        drain.clone().start();
        sleep(SECOND).await;
    }
    drain.goaway().await;
    assert_eq!(begin.elapsed(), 10 * SECOND);
    assert_eq!(log.take(), ["0 hook"]);
}

#[tokio::test]
async fn all_faults_of_a_drain_are_reported_at_once() {
    let zero = Duration::ZERO;
    let setters = |builder: grpc_resilience::drain::DrainBuilder| {
        let invalid = builder.build().unwrap_err();
        let setters: Vec<_> = invalid.faults().iter().map(Fault::setter).collect();
        setters
    };
    let all = Drain::builder().notice(zero).grace(zero).hook_timeout(zero);
    assert_eq!(setters(all), ["hook_timeout", "notice", "grace"]);
    // 5 s for hooks and 10 s of notice.
    assert_eq!(setters(Drain::builder().grace(15 * SECOND)), ["grace"]);
    assert!(
        Drain::builder()
            .grace(15_001 * SECOND / 1000)
            .build()
            .is_ok()
    );
    assert_eq!(setters(Drain::builder().notice(21 * SECOND)), ["grace"]);
    let without_notice = Drain::builder().notice(zero).no_notice();
    assert!(without_notice.grace(6 * SECOND).build().is_ok());
    let long = Drain::builder().grace(Duration::MAX);
    assert_eq!(setters(long), ["grace"]);
    assert!(Drain::builder().grace(86_400 * SECOND).build().is_ok());
    let endless = Drain::builder().notice(Duration::MAX);
    assert_eq!(setters(endless), ["grace"]);
}

#[test]
fn a_drain_outside_of_a_runtime_is_a_fault() {
    let invalid = Drain::builder().notice(Duration::ZERO).build().unwrap_err();
    let setters: Vec<_> = invalid.faults().iter().map(Fault::setter).collect();
    assert_eq!(setters, ["notice", "build"]);
    let text = invalid.to_string();
    assert!(
        text.starts_with("the drain can't be built: notice: it must be longer than zero; build: "),
        "{text}"
    );
}

#[test]
fn a_server_does_not_wait_for_hooks_of_a_runtime_that_is_shut_down() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (drains, servers) = (runtime(), runtime());
    let builder = Drain::builder().hook_timeout(SECOND);
    let drain = drains.block_on(async { builder.build() }).unwrap();
    drains.shutdown_background();
    drain.start();
    let begin = Instant::now();
    servers.block_on(drain.run(std::future::ready(()))).unwrap();
    assert!(begin.elapsed() < 5 * SECOND, "{:?}", begin.elapsed());
}
