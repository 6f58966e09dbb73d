//! Places orders and reads them while their server restarts.
//!
//! The five layers stand here as in the README of grpc-resilience. `GetOrder` is declared
//! idempotent, `PlaceOrder` is not.

mod server;

use std::time::Duration;

use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::idempotency::IdempotencyLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use tokio::time::sleep;
use tonic::Status;
use tonic::transport::Endpoint;
use tower::ServiceBuilder;

use pb::orders_client::OrdersClient;
use pb::{Order, OrderId};
use server::{Running, Stopped};

mod pb {
    tonic::include_proto!("orders.v1");
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Default)]
struct Tally {
    calls: u64,
    failed: u64,
}

impl Tally {
    fn count<T>(&mut self, answer: Result<T, Status>) {
        self.calls += 1;
        if let Err(status) = answer {
            self.failed += 1;
            eprintln!("call {}: {status:?}", self.calls);
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let mut server = Stopped::new().start()?;
    let channel = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(Duration::from_secs(5)))
        .layer(IdempotencyLayer::new().idempotent("/orders.v1.Orders/Get*")?)
        .layer(BudgetLayer::new(TokenBucket::default()))
        .layer(RetryLayer::new(RetryPolicy::new().max_attempts(4)?))
        .layer(WaitForReadyLayer::new())
        .service(Endpoint::from_shared(server.uri())?.connect_lazy());
    let mut orders = OrdersClient::new(channel);

    let mut tally = Tally::default();
    for _ in 0..2 {
        let restart = tokio::spawn(restart(server));
        let mut restarted = false;
        while !restarted {
            restarted = restart.is_finished();
            let id = tally.calls;
            let item = "tea".to_owned();
            tally.count(orders.place_order(Order { id, item }).await);
            tally.count(orders.get_order(OrderId { id }).await);
        }
        server = restart.await??;
    }
    println!("calls={} failed={}", tally.calls, tally.failed);
    Ok(())
}

async fn restart(server: Running) -> Result<Running, BoxError> {
    sleep(Duration::from_millis(50)).await;
    let stopped = server.stop().await?;
    sleep(Duration::from_millis(100)).await;
    Ok(stopped.start()?)
}
