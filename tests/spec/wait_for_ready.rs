//! Calls that wait for a channel which is down.

mod balanced_channel;
mod balanced_endpoints;
mod client_before_server;
mod connect_faults;
mod deadline;
mod dials;
mod dropped_dial;
mod forgotten_request;
mod fresh_channel;
mod goaway;
mod grpc_timeout;
mod handed_back;
mod layers_between;
mod lost_connection;
mod methods;
mod misbehaviour;
mod probe;
mod queue;
mod readiness;
mod streams;
mod unpolled_calls;
mod wait_mode;
mod wakeups;

use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use testing::Server;
use tokio::time::sleep;

use crate::support::{SECOND, Stack, client, every, hello, ms};

/// A layer under which calls wait, with a second between dials and without chance.
fn layer() -> WaitForReadyLayer {
    WaitForReadyLayer::new().backoff(every(SECOND))
}

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
