//! The task that runs a drain, from its start to its end.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::hooks::join;
use super::machine::{Happened, Machine, Phase};
use super::shared::Shared;
use crate::events::drain as events;

pub(super) async fn drive(shared: Arc<Shared>) {
    let mut machine = Machine::new(shared.times);
    let began = Instant::now();
    shared.began.get_or_init(|| began);
    machine.on(Happened::Started, began);
    shared.started.cancel();
    events::begins(shared.times.notice, shared.times.grace);
    announce(&shared, &mut machine).await;
    shared.announced.cancel();
    if shared.ended.is_cancelled() {
        machine.on(Happened::Ended, Instant::now());
    }
    if machine.phase() == Phase::Notice {
        events::announced(shared.elapsed(), shared.times.notice);
    }
    while machine.phase() == Phase::Notice {
        // A connection that closes is no end: others may come yet.
        let happened = tokio::select! {
            () = shared.ended.cancelled() => Happened::Ended,
            () = until(&machine) => Happened::TimePassed,
        };
        machine.on(happened, Instant::now());
    }
    if machine.phase() == Phase::Finishing {
        events::goes_away(shared.elapsed(), shared.connections());
    }
    // Also when the grace is over already: it ends the server's own loop.
    shared.goaway.cancel();
    while machine.phase() == Phase::Finishing {
        let happened = tokio::select! {
            () = shared.all_ended() => Happened::Ended,
            () = until(&machine) => Happened::TimePassed,
        };
        machine.on(happened, Instant::now());
    }
    if machine.phase() == Phase::Stopped {
        events::stopped(shared.elapsed(), shared.connections());
    } else {
        events::finished(shared.elapsed());
        // Another server of the same drain, or what follows the server, has the rest of the grace.
        sleep_until(began + shared.times.grace).await;
    }
    shared.stop.cancel();
}

/// Health and hooks, as long as they may take. A server that ends meanwhile ends none of them: once
/// it is gone, only its deregistration tells clients so.
async fn announce(shared: &Shared, machine: &mut Machine) {
    let mut hooks = std::mem::take(&mut *shared.hooks.lock());
    let mut running = None;
    while machine.phase() == Phase::Announcing {
        let announced = async {
            // Health first: it takes no time, and must not wait for a registry that hangs.
            hooks.set_not_serving().await;
            join(running.get_or_insert_with(|| hooks.start())).await;
        };
        let happened = tokio::select! {
            () = announced => Happened::Announced,
            () = until(machine) => Happened::TimePassed,
        };
        machine.on(happened, Instant::now());
    }
    if let Some(running) = running.filter(|running| !running.is_empty()) {
        events::hooks_timed_out(running.len(), shared.times.hooks);
    }
}

async fn until(machine: &Machine) {
    match machine.until() {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
