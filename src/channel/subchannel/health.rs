//! The health of an endpoint: that of its connections.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{Inside, Subchannel};
use crate::channel::connection::{self, Connection, DialError};
use crate::channel::health::{Answer, Health, Unhealthy, Watch};
use crate::channel::view::HealthView;
use crate::events;
use crate::report::SharedError;

/// What the watch of one connection has found; `None` without an answer.
pub(super) type Hearing = Option<Answer>;

/// What the watches of the connections that are open have found.
#[derive(Default)]
pub(super) struct Checked {
    /// One without an answer is not checked.
    answers: Vec<(Arc<Connection>, Answer)>,
    /// What events have said of the endpoint.
    told: Option<(Answer, Instant)>,
    /// The same for calls, of an endpoint that is not healthy.
    error: Option<SharedError>,
    /// Why its health can't be checked, if an event said so.
    unchecked: Option<Answer>,
    /// Health does not count: too few endpoints are healthy (CONTRACT L8).
    pub(super) is_ignored: bool,
}

impl Checked {
    fn hear(&mut self, connection: &Arc<Connection>, answer: Answer) {
        match self
            .answers
            .iter_mut()
            .find(|(it, _)| Arc::ptr_eq(it, connection))
        {
            Some((_, known)) => *known = answer,
            None => self.answers.push((Arc::clone(connection), answer)),
        }
    }

    /// Forgets what was found of one that takes no call for now.
    pub(super) fn take(&mut self, connection: &Arc<Connection>) -> Hearing {
        let is_it = |(it, _): &(Arc<Connection>, Answer)| Arc::ptr_eq(it, connection);
        let place = self.answers.iter().position(is_it)?;
        Some(self.answers.remove(place).1)
    }

    pub(super) fn restore(&mut self, connection: &Arc<Connection>, hearing: Hearing) {
        if let Some(answer) = hearing {
            self.hear(connection, answer);
        }
    }

    pub(super) fn forget(&mut self, connection: &Arc<Connection>) {
        self.answers.retain(|(it, _)| !Arc::ptr_eq(it, connection));
    }

    fn is_healthy(&self, connection: &Arc<Connection>) -> bool {
        let mut answers = self.answers.iter();
        answers
            .find(|(it, _)| Arc::ptr_eq(it, connection))
            .is_none_or(|(_, answer)| answer.is_healthy())
    }

    /// That of the best connection, else of the oldest.
    fn best(&self) -> Option<&Answer> {
        let mut answers = self.answers.iter().map(|(_, answer)| answer);
        let healthy = answers.clone().find(|it| it.is_healthy());
        healthy.or_else(|| answers.next())
    }

    /// What is news of the endpoint becomes an event, and the error that calls name.
    fn tell(&mut self, endpoint: &Arc<str>, service: &Arc<str>, now: Instant) {
        let Some(answer) = self.best().cloned() else {
            self.told = None;
            self.error = None;
            return;
        };
        let before = self.told.as_ref().map(|(before, _)| before);
        if before == Some(&answer) {
            return;
        }
        if answer.health != Health::Unchecked {
            let before = before.map(|before| &*before.words);
            events::health_changed(endpoint, service, before, &answer.words);
            self.unchecked = None;
        } else if self.unchecked.as_ref() != Some(&answer) {
            events::health_unchecked(endpoint, service, &answer.words);
            self.unchecked = Some(answer.clone());
        }
        self.error = (!answer.is_healthy()).then(|| {
            let (endpoint, service) = (Arc::clone(endpoint), Arc::clone(service));
            Arc::new(Unhealthy::new(endpoint, service, answer.clone())) as _
        });
        self.told = Some((answer, now));
    }

    pub(super) fn view(&self) -> Option<HealthView> {
        self.told
            .clone()
            .map(|(answer, since)| HealthView { answer, since })
    }
}

/// A new connection, and the watch on it with its first answer.
pub(super) struct Fresh {
    connection: Option<Arc<Connection>>,
    pub(super) watch: Option<(Watch, Answer)>,
}

impl Fresh {
    pub(super) fn unchecked(connection: Arc<Connection>) -> Self {
        Self {
            connection: Some(connection),
            watch: None,
        }
    }

    /// The endpoint has the connection from now on.
    pub(super) fn take(&mut self) -> Option<Arc<Connection>> {
        self.connection.take()
    }
}

impl Drop for Fresh {
    /// The dial was aborted while it waited for the answer.
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.retire();
        }
    }
}

impl Subchannel {
    /// Asks for the health of the server on a new connection, and waits for the first answer
    /// (CONTRACT G1); the connect timeout bounds it too (CONTRACT C2).
    pub(super) async fn ask(
        &self,
        connection: Arc<Connection>,
        begun: Instant,
    ) -> Result<Fresh, DialError> {
        let settings = &self.shared.settings;
        let mut fresh = Fresh::unchecked(Arc::clone(&connection));
        let Some(check) = &self.shared.health else {
            return Ok(fresh);
        };
        let (backoff, rng) = (Arc::clone(&settings.backoff), self.shared.rng.clone());
        let mut watch = Watch::new(Arc::clone(check), Arc::clone(&connection), backoff, rng);
        let first = match begun.checked_add(settings.connect_timeout) {
            Some(end) => timeout_at(end, watch.next()).await,
            None => Ok(watch.next().await),
        };
        let unanswered =
            |is_late| connection::unanswered(&connection, settings.connect_timeout, is_late);
        let answer = first.map_err(|_| unanswered(true))?;
        let answer = answer.ok_or_else(|| unanswered(false))?;
        fresh.watch = Some((watch, answer));
        Ok(fresh)
    }

    /// Follows the watch of a connection until it ends, which it does with the connection.
    pub(super) fn follow(&self, mut watch: Watch) {
        let Some(me) = self.me.upgrade() else {
            return;
        };
        self.shared.runtime.spawn(async move {
            while let Some(answer) = watch.next().await {
                let connection = watch.connection();
                me.change(|inside, _| {
                    inside.hears(connection, Some(answer));
                    None
                });
            }
        });
    }

    /// Health does not count from now on, or it counts again (CONTRACT L8).
    pub(in crate::channel) fn ignore_health(&self, is_ignored: bool) {
        if self.inside.lock().checked.is_ignored != is_ignored {
            self.change(|inside, _| {
                inside.checked.is_ignored = is_ignored;
                None
            });
        }
    }

    /// What an answer, or the end of a connection, changes.
    pub(super) fn look_at_health(&self, inside: &mut Inside, now: Instant) {
        let Some(check) = &self.shared.health else {
            return;
        };
        let healthy = |it: &&Arc<Connection>| inside.checked.is_healthy(it);
        let healthy = inside.connections.iter().filter(healthy).count();
        inside
            .machine
            .set_unhealthy(inside.connections.len() - healthy);
        let before = inside.checked.error.clone();
        inside.checked.tell(self.name(), &check.service, now);
        let is_shown = |it: &SharedError| inside.error.as_ref().is_some_and(|e| Arc::ptr_eq(e, it));
        if inside.checked.error.is_some() || before.as_ref().is_some_and(is_shown) {
            // Without a connection, why the last one was lost or the last dial failed stays.
            inside.error.clone_from(&inside.checked.error);
        }
    }
}

impl Inside {
    /// The connections that calls may use: healthy ones, or any if health does not count.
    pub(super) fn offered(&self) -> Vec<Arc<Connection>> {
        let all = self.connections.iter();
        let healthy: Vec<_> = all
            .filter(|it| self.checked.is_healthy(it))
            .cloned()
            .collect();
        if healthy.is_empty() && self.checked.is_ignored {
            return self.connections.clone();
        }
        healthy
    }
}
