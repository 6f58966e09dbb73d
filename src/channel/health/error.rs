use std::fmt;
use std::sync::Arc;

use super::answer::Answer;
use super::status::Health;

/// Why an endpoint with a connection takes no call: its server is not healthy. It is in the chain
/// of sources of the calls that failed for it.
///
/// ```
/// use grpc_resilience::channel::Unhealthy;
/// use std::error::Error;
///
/// /// Whether a call failed because a server says that it is not the leader, or not ready.
/// fn is_unhealthy(error: &(dyn Error + 'static)) -> bool {
///     let mut links = std::iter::successors(Some(error), |link| (*link).source());
///     links.any(|link| link.is::<Unhealthy>())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Unhealthy {
    endpoint: Arc<str>,
    service: Arc<str>,
    answer: Answer,
}

impl Unhealthy {
    pub(in crate::channel) fn new(endpoint: Arc<str>, service: Arc<str>, answer: Answer) -> Self {
        Self {
            endpoint,
            service,
            answer,
        }
    }

    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The service whose health was asked for; empty for the whole server.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// What the server says.
    #[must_use]
    pub fn health(&self) -> Health {
        self.answer.health
    }
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint,
            service,
            answer,
        } = self;
        let service = if service.is_empty() {
            "the whole server"
        } else {
            service
        };
        let words = &answer.words;
        match answer.health {
            Health::Ended => write!(f, "{endpoint} ended the health watch of {service}: {words}"),
            _ => write!(f, "{endpoint} says {words} for {service}"),
        }
    }
}

impl std::error::Error for Unhealthy {}
