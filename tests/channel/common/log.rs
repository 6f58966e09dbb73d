//! What the crate says by `tracing` on this thread.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Listens while it lives.
pub(crate) struct Ear {
    said: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Ear {
    pub(crate) fn new() -> Self {
        // While there is one subscriber only, tracing asks that of the thread which comes to an
        // event first whether the event is of interest, and other tests' threads have none.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(Listener(Arc::default())));
        let said = Arc::<Mutex<Vec<String>>>::default();
        let listener = Listener(Arc::clone(&said));
        Self {
            said,
            _guard: tracing::subscriber::set_default(listener),
        }
    }

    pub(crate) fn text(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        let said = self.said.lock().unwrap();
        said.iter().filter(|line| line.contains(text)).count()
    }
}

struct Listener(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "grpc_resilience"
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}
