use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

/// An instance of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsulInstance {
    /// What the agent calls it.
    pub id: String,
    /// The service.
    pub service: String,
    /// As it was registered; empty: that of the node, which is 127.0.0.1.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether its check passes.
    pub is_passing: bool,
}

#[derive(Debug)]
struct Entry {
    instance: ConsulInstance,
    ttl: Option<(Duration, Instant)>,
}

#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: Vec<Entry>,
    changes: u64,
}

/// Consul's first index is no round number either.
const FIRST: u64 = 12;

impl ConsulInstance {
    /// It passes, has no tag, and its address is its id.
    #[must_use]
    pub fn new(service: &str, address: SocketAddr) -> Self {
        Self {
            id: address.to_string(),
            service: service.into(),
            address: address.ip().to_string(),
            port: address.port(),
            tags: Vec::new(),
            is_passing: true,
        }
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.into());
        self
    }
}

impl Registry {
    pub(super) fn index(&self) -> u64 {
        FIRST + self.changes
    }

    pub(super) fn register(&mut self, instance: ConsulInstance, ttl: Option<Duration>) {
        self.changes += 1;
        self.entries.retain(|it| it.instance.id != instance.id);
        let ttl = ttl.map(|ttl| (ttl, Instant::now() + ttl));
        self.entries.push(Entry { instance, ttl });
    }

    /// What an agent is sent to register an instance.
    pub(super) fn register_body(&mut self, body: &[u8]) -> Option<()> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let text = |name: &str| Some(body.get(name)?.as_str()?.to_owned());
        let tags = body.get("Tags").and_then(Value::as_array);
        let tags = tags.into_iter().flatten().filter_map(Value::as_str);
        let instance = ConsulInstance {
            id: text("ID")?,
            service: text("Name")?,
            address: text("Address")?,
            port: u16::try_from(body.get("Port")?.as_u64()?).ok()?,
            tags: tags.map(str::to_owned).collect(),
            is_passing: true,
        };
        let ttl = body.pointer("/Check/TTL").and_then(Value::as_str);
        let millis = ttl.and_then(|ttl| ttl.strip_suffix("ms")?.parse().ok());
        self.register(instance, millis.map(Duration::from_millis));
        Some(())
    }

    pub(super) fn deregister(&mut self, id: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|it| it.instance.id != id);
        let was_there = self.entries.len() < before;
        self.changes += u64::from(was_there);
        was_there
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.entries.iter().any(|it| it.instance.id == id)
    }

    pub(super) fn set_passing(&mut self, id: &str, is_passing: bool) {
        for entry in &mut self.entries {
            if entry.instance.id == id && entry.instance.is_passing != is_passing {
                entry.instance.is_passing = is_passing;
                self.changes += 1;
            }
        }
    }

    /// A report that the check passes; whether there is such an instance.
    pub(super) fn report(&mut self, id: &str) -> bool {
        for entry in &mut self.entries {
            if entry.instance.id == id
                && let Some((ttl, due)) = &mut entry.ttl
            {
                *due = Instant::now() + *ttl;
            }
        }
        self.set_passing(id, true);
        self.has(id)
    }

    /// Instances that have not reported in time fail; whether there was one.
    pub(super) fn expire(&mut self) -> bool {
        let now = Instant::now();
        let before = self.changes;
        for entry in &mut self.entries {
            let is_late = entry.ttl.is_some_and(|(_, due)| due <= now);
            if is_late && entry.instance.is_passing {
                entry.instance.is_passing = false;
                self.changes += 1;
            }
        }
        self.changes > before
    }

    pub(super) fn instances(&self) -> Vec<ConsulInstance> {
        self.entries.iter().map(|it| it.instance.clone()).collect()
    }

    /// What a query for a service is answered.
    pub(super) fn list(&self, service: &str, tags: &[&str], passing: bool) -> Vec<u8> {
        let instances = self.entries.iter().map(|it| &it.instance);
        let wanted = instances.filter(|it| {
            let has = |tag: &&str| it.tags.iter().any(|own| own == tag);
            it.service == service && tags.iter().all(has) && (it.is_passing || !passing)
        });
        let entries = wanted.map(|it| {
            json!({
                "Node": { "Node": "n1", "Address": "127.0.0.1" },
                "Service": {
                    "ID": it.id, "Service": it.service, "Address": it.address,
                    "Port": it.port, "Tags": it.tags,
                },
                "Checks": [{ "Status": if it.is_passing { "passing" } else { "critical" } }],
            })
        });
        json!(entries.collect::<Vec<_>>()).to_string().into_bytes()
    }
}
