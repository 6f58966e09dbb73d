use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::AgentError;
use super::agent::Agent;
use super::error::RegistrationError;
use super::service::Service;
use super::steps::{KeepEvent, Outcome, Step, Steps};
use crate::events;
use crate::kernel::rng::Rng;

/// The most that an answer of the agent may take.
const LIMIT: Duration = Duration::from_secs(5);
/// The most that deregistering may take, over all tries.
const LIMIT_OF_LEAVING: Duration = Duration::from_secs(5);
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

pub(super) type Left = Result<(), RegistrationError>;
/// The order to deregister, with the place for what came of it.
pub(super) type Order = oneshot::Sender<Left>;

/// Keeps one server registered.
#[derive(Debug)]
pub(super) struct Keeper {
    agent: Agent,
    service: Service,
    rng: Rng,
}

impl Keeper {
    pub(super) fn new(agent: Agent, service: Service) -> Self {
        Self {
            agent,
            service,
            rng: Rng::default(),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.service.id
    }

    pub(super) async fn register(&self) -> Result<(), RegistrationError> {
        let registered = self.put(Service::registering(), self.service.body(), LIMIT);
        registered
            .await
            .map_err(|error| RegistrationError::of("to register the server", error))
    }

    /// Until the order comes, or its sender is dropped; then it deregisters.
    ///
    /// The order never ends a request that is under way: an agent might carry out a registration
    /// after the deregistration that was sent later.
    pub(super) async fn keep(self, mut order: oneshot::Receiver<Order>) {
        let mut steps = Steps::new(self.service.pause());
        let mut delay = self.service.pause();
        let order = loop {
            if let Ok(order) = timeout(delay, &mut order).await {
                break order.ok();
            }
            let (outcome, error) = self.step(steps.next()).await;
            let (next, event) = steps.after(outcome, self.rng.unit());
            delay = next;
            self.tell(event, error.as_ref());
        };
        let left = self.leave().await;
        if let Err(error) = &left {
            events::consul_registration_failed(self.id(), error);
        }
        if let Some(order) = order {
            // The caller may have given up.
            let _ = order.send(left);
        }
    }

    async fn step(&self, step: Step) -> (Outcome, Option<AgentError>) {
        let done = match (step, self.service.reporting()) {
            (Step::Register, _) => {
                self.put(Service::registering(), self.service.body(), LIMIT)
                    .await
            }
            (Step::Refresh, Some((path, body))) => self.put(&path, body, LIMIT).await,
            (Step::Refresh, None) => self.look().await,
        };
        match done {
            Ok(()) => (Outcome::Done, None),
            Err(error @ AgentError::Status { .. }) => (Outcome::Refused, Some(error)),
            Err(error) => (Outcome::Unanswered, Some(error)),
        }
    }

    /// A few times, because the agent may be about to be started again.
    async fn leave(&self) -> Left {
        let start = Instant::now();
        let path = self.service.deregistering();
        loop {
            let limit = LIMIT_OF_LEAVING.saturating_sub(start.elapsed());
            let error = match self.put(&path, Bytes::new(), limit).await {
                Ok(()) => return Ok(()),
                // It is not there, which was wanted.
                Err(AgentError::Status { status, .. }) if status.as_u16() == 404 => return Ok(()),
                Err(error) => error,
            };
            if start.elapsed() + BETWEEN_TRIES >= LIMIT_OF_LEAVING {
                return Err(RegistrationError::of("to deregister the server", error));
            }
            sleep(BETWEEN_TRIES).await;
        }
    }

    async fn put(&self, path: &str, body: Bytes, limit: Duration) -> Result<(), AgentError> {
        let answer = self.agent.send(Method::PUT, path, body, limit).await;
        answer.map(drop)
    }

    async fn look(&self) -> Result<(), AgentError> {
        let path = self.service.looking();
        let answer = self.agent.send(Method::GET, &path, Bytes::new(), LIMIT);
        answer.await.map(drop)
    }

    fn tell(&self, event: Option<KeepEvent>, error: Option<&AgentError>) {
        match (event, error) {
            (Some(KeepEvent::Failed), Some(error)) => {
                events::consul_registration_failed(self.id(), error);
            }
            (Some(KeepEvent::IsBack), _) => events::consul_registration_is_back(self.id()),
            (Some(KeepEvent::RegisteredAgain), _) => events::consul_registered_again(self.id()),
            (Some(KeepEvent::Failed) | None, _) => {}
        }
    }
}
