//! Hears what this thread says.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

/// An event of the crate.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) level: Level,
    pub(crate) target: String,
    fields: BTreeMap<&'static str, String>,
}

impl Heard {
    pub(crate) fn get(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> &str {
        self.get("message")
    }

    /// These fields, in this order.
    pub(crate) fn of<'a, const N: usize>(&'a self, fields: [&str; N]) -> [&'a str; N] {
        fields.map(|field| self.get(field))
    }
}

impl Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.level, self.target, self.text())?;
        let others = self.fields.iter().filter(|(name, _)| **name != "message");
        others
            .into_iter()
            .try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// Over tonic's channel there are none of these; the tests of `tests/channel` hear them.
const OF_ENDPOINTS: [&str; 2] = [
    "the state of an endpoint changed",
    "the addresses of a channel changed",
];

/// Hears until it is dropped, on this thread.
pub(crate) struct Ear {
    heard: Arc<Mutex<Vec<Heard>>>,
    _guard: DefaultGuard,
}

impl Ear {
    pub(crate) fn new() -> Self {
        let heard = Arc::default();
        let listener = Listener(Arc::clone(&heard));
        Self {
            heard,
            _guard: tracing::subscriber::set_default(listener),
        }
    }

    /// What was heard since this was last asked, but for what this crate's channel says of its
    /// endpoints.
    pub(crate) fn take(&self) -> Vec<Heard> {
        let mut heard = std::mem::take(&mut *self.heard.lock().unwrap());
        heard.retain(|heard| !OF_ENDPOINTS.contains(&heard.text()));
        heard
    }
}

struct Listener(Arc<Mutex<Vec<Heard>>>);

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("grpc_resilience")
    }

    fn event(&self, event: &Event<'_>) {
        let mut heard = Heard {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            fields: BTreeMap::new(),
        };
        event.record(&mut heard);
        self.0.lock().unwrap().push(heard);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Visit for Heard {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}
