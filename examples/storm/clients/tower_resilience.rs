//! `tower-resilience` as its documentation has it: a service of the user's own messages. Its retry
//! wants requests that can be cloned, so it can't stand under the generated client, only over it.

use std::net::SocketAddr;
use std::time::Duration;

use tonic::{Code, Status};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_resilience_retry::{RetryBudgetBuilder, RetryLayer};
use tower_service::Service;

use super::{ATTEMPTS, Caller};
use crate::Failure;
use crate::proto::Question;
use crate::proto::storm_client::StormClient;

pub(crate) const SETTINGS: &str = "tower-resilience-retry 0.14 over the generated client, not under it, since it wants requests that can be
cloned; max_attempts(4) instead of its 3, a predicate for UNAVAILABLE; its default backoff (100 ms, doubling, no
jitter) and its default token bucket (100 tokens, 10 a second, 1 a success; a retry takes 1)";

pub(crate) async fn connect(address: SocketAddr) -> Result<impl Caller, Failure> {
    let client = StormClient::new(super::connect(address).await?);
    let budget = RetryBudgetBuilder::new().token_bucket().build()?;
    let retry = RetryLayer::<Question, (), Status>::builder()
        .max_attempts(ATTEMPTS as usize)
        .exponential_backoff(Duration::from_millis(100))
        .retry_on(|status: &Status| status.code() == Code::Unavailable)
        .budget(budget)
        .build();
    let service =
        ServiceBuilder::new()
            .layer(retry)
            .service(service_fn(move |question: Question| {
                let mut client = client.clone();
                async move { client.ask(question).await.map(drop) }
            }));
    Ok(Messages { service })
}

struct Messages<S> {
    service: S,
}

impl<S> Caller for Messages<S>
where
    S: Service<Question, Response = (), Error = Status, Future: Send> + Clone + Send + 'static,
{
    fn make(&self, call: u32) -> impl Future<Output = Result<(), Status>> + Send + 'static {
        self.service.clone().oneshot(Question { call })
    }
}
