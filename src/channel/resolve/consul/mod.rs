//! The instances of a service in Consul, by blocking queries (CONTRACT N7).

mod course;
mod instances;
mod question;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::again::Again;
use super::{Resolution, ResolveError, ResolveSettings, Resolver};
use crate::consul::{Agent, AgentError, Token};
use crate::error::BoxError;
use crate::events;
use crate::kernel::rng::Rng;
use course::Course;
use instances::Instances;
pub(in crate::channel) use question::Question;

/// Follows a service: each query waits at the agent for the next change.
struct Consul {
    agent: Agent,
    question: Question,
    /// For the certificate of each instance.
    server_name: Option<Arc<str>>,
    course: Course,
    rate: Again,
    rng: Rng,
    state: State,
    has_unusable: bool,
    waker: Option<Waker>,
}

type Answered = Result<Answer, ResolveError>;

/// An answer that can be used.
struct Answer {
    index: u64,
    instances: Instances,
}

enum State {
    /// The next query is due, as soon as the rate allows it.
    Due,
    Pausing(Pin<Box<Sleep>>),
    Asking {
        answer: Pin<Box<dyn Future<Output = Answered> + Send>>,
        since: Instant,
    },
}

/// Of the last change that an answer contains.
const INDEX: &str = "x-consul-index";

impl Consul {
    fn new(question: Question, token: Option<Token>, server_name: Option<Arc<str>>) -> Self {
        Self {
            agent: Agent {
                address: question.agent.clone(),
                token,
            },
            question,
            server_name,
            course: Course::default(),
            rate: Again::default(),
            rng: Rng::default(),
            state: State::Due,
            has_unusable: false,
            waker: None,
        }
    }

    /// Asks if the rate allows it, and waits for that otherwise.
    fn due(&mut self, now: Instant) -> State {
        if self.rate.want(now) {
            let index = self.course.index();
            let asked = ask(
                self.agent.clone(),
                self.question.clone(),
                self.server_name.clone(),
                index,
            );
            return State::Asking {
                answer: Box::pin(asked),
                since: now,
            };
        }
        State::Pausing(Box::pin(sleep_until(self.rate.due().unwrap_or(now))))
    }

    fn answered(&mut self, answer: Answered) -> Result<Resolution, ResolveError> {
        let Answer { index, instances } = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let delay = self.course.failed(self.rng.unit());
                self.state = State::Pausing(Box::pin(sleep(delay)));
                return Err(error);
            }
        };
        self.course.answered(index, !instances.addresses.is_empty());
        self.state = State::Due;
        if let Some(unusable) = instances.unusable
            && !std::mem::replace(&mut self.has_unusable, true)
        {
            events::consul_instance_unusable(&self.question.service, &unusable);
        }
        if instances.addresses.is_empty() {
            let answered = "Consul has no such instance that passes its checks";
            let asked = Arc::clone(&self.question.shown);
            return Err(ResolveError::no_address(asked, answered));
        }
        Ok(Resolution::new(instances.addresses))
    }
}

impl Question {
    /// What follows the service.
    pub(in crate::channel) fn resolver(
        &self,
        server_name: Option<Arc<str>>,
        settings: &ResolveSettings,
    ) -> Box<dyn Resolver> {
        let token = settings.consul_token.clone().and_then(Result::ok);
        Box::new(Consul::new(self.clone(), token, server_name))
    }
}

impl Resolver for Consul {
    fn poll_resolution(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Resolution, ResolveError>>> {
        loop {
            match &mut self.state {
                State::Due => self.state = self.due(Instant::now()),
                State::Pausing(pause) => {
                    if pause.as_mut().poll(cx).is_pending() {
                        break;
                    }
                    self.state = State::Due;
                }
                State::Asking { answer, .. } => match answer.as_mut().poll(cx) {
                    Poll::Ready(answer) => return Poll::Ready(Some(self.answered(answer))),
                    Poll::Pending => break,
                },
            }
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn resolve_again(&mut self) {
        let State::Asking { since, .. } = &self.state else {
            // The next query is answered at once, as soon as it may be.
            return;
        };
        if self.course.doubts(since.elapsed()) {
            self.state = State::Due;
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }
}

async fn ask(
    agent: Agent,
    question: Question,
    server_name: Option<Arc<str>>,
    index: Option<u64>,
) -> Answered {
    let (path, limit) = (question.path(index), question.limit(index));
    let failed = |text: String| ResolveError::new(Arc::clone(&question.shown), text);
    let answer = agent.send(Method::GET, &path, Bytes::new(), limit).await;
    let answer = answer.map_err(|error| {
        let failed = failed(format!("{error} ({})", agent.address));
        match cause(error) {
            Some(cause) => failed.with_source(cause),
            None => failed,
        }
    })?;
    let index = index_of(&answer.headers)
        .ok_or_else(|| failed(format!("{} is no agent of Consul", agent.address)))?;
    let instances = instances::read(&answer.body, server_name.as_ref()).map_err(failed)?;
    Ok(Answer { index, instances })
}

fn cause(error: AgentError) -> Option<BoxError> {
    match error {
        AgentError::Unreachable(error) => Some(error.into()),
        AgentError::Broken(error) => Some(error),
        AgentError::Late(_) | AgentError::TooLong | AgentError::Status { .. } => None,
    }
}

fn index_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(INDEX)?.to_str().ok()?.parse().ok()
}
