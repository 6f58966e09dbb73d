//! Calls that wait for a channel which is down.

mod adversity;
mod asleep;
mod between;
mod dials;
mod endpoints;
mod expiry;
mod faults;
mod first;
mod forgotten;
mod goaway;
mod handed_back;
mod hung_up;
mod members;
mod methods;
mod patience;
mod probe;
mod queue;
mod readiness;
mod started_before;
mod streams;
mod timeouts;
mod unheard;
mod unpolled;

use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use testing::Server;
use tokio::time::sleep;

use crate::common::{every, ms};
use crate::support::{Stack, client, hello};

/// A layer under which calls wait, on a short backoff without chance.
fn waiting() -> WaitForReadyLayer {
    WaitForReadyLayer::new().backoff(every(ms(100)))
}

/// Shows the gate an answer, then takes the server away for a while.
async fn lost(server: &Arc<Server>, stack: impl Stack, down: Duration) {
    client(stack).unary(hello()).await.unwrap();
    server.clear();
    server.stop();
    sleep(ms(1)).await;
    let server = Arc::clone(server);
    tokio::spawn(async move {
        sleep(down).await;
        server.start().await;
    });
}
