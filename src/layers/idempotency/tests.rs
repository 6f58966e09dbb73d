use std::convert::Infallible;
use std::fmt::{Debug, Write as _};
use std::future::Ready;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use tower::service_fn;
use tower_layer::Layer as _;
use tower_service::Service as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;
use crate::call::{Context, Method, Safety};
use crate::grpc::MethodKind;

// CONTRACT I5
#[test]
fn an_exception_wins_over_a_wider_glob_whichever_was_added_first() {
    let wide = ("/a.A/*", Safety::Idempotent);
    let exception = ("/a.A/P*", Safety::Unknown);
    for order in [[wide, exception], [exception, wide]] {
        let mut policy = IdempotencyPolicy::default();
        for (pattern, safety) in order {
            policy.declare(pattern, safety).unwrap();
        }
        let said = |policy: &IdempotencyPolicy, method| {
            let said = policy.explain(method);
            (said.safety(), said.source().clone())
        };
        let glob = |glob: &str| Source::Glob(glob.to_owned());
        let denied = (Safety::Unknown, glob("/a.A/P*"));
        assert_eq!(said(&policy, "/a.A/Put"), denied);
        let allowed = (Safety::Idempotent, glob("/a.A/*"));
        assert_eq!(said(&policy, "/a.A/Get"), allowed);
        policy.declare("/a.A/Put", Safety::Idempotent).unwrap();
        let allowed = (Safety::Idempotent, Source::Path);
        assert_eq!(said(&policy, "/a.A/Put"), allowed);
    }
}

const GET: [Method; 1] = [Method::new("/a.A/Get", MethodKind::Unary, Safety::Unknown)];

/// Calls a method through the layer and returns the request's head.
fn call(layer: &IdempotencyLayer, path: &str, context: Context) -> Request<()> {
    let sent = Arc::new(Mutex::new(None));
    let record = Arc::clone(&sent);
    let inner = service_fn(
        move |request: Request<()>| -> Ready<Result<_, Infallible>> {
            *record.lock().unwrap() = Some(request);
            std::future::ready(Ok(Response::new(())))
        },
    );
    let mut request = Request::new(());
    *request.uri_mut() = path.parse().unwrap();
    request.extensions_mut().insert(context);
    drop(layer.layer(inner).call(request));
    let request = sent.lock().unwrap().take();
    request.unwrap()
}

#[test]
fn a_method_that_is_called_and_unknown_is_warned_of_once() {
    let layer = IdempotencyLayer::new().methods(GET).unwrap();
    let warnings = hear(|| {
        for path in ["/a.A/Get", "/a.A/Put", "/a.A/Put", "/b.B/Put", "/Put"] {
            call(&layer, path, Context::default());
        }
    });
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("/a.A/Put"), "{warnings:?}");
    assert!(warnings[1].contains("/b.B/Put"), "{warnings:?}");
}

#[test]
fn of_the_unknown_methods_a_thousand_are_kept() {
    let layer = IdempotencyLayer::new().methods(GET).unwrap();
    let warnings = hear(|| {
        for number in 0..1_100 {
            call(&layer, &format!("/a.A/Put{number}"), Context::default());
        }
    });
    assert_eq!(warnings.len(), 1_000);
    let described = 1;
    assert_eq!(layer.unannotated_methods().len(), 1_000 + described);
}

// CONTRACT V2
#[test]
fn below_a_retry_layer_it_is_warned_of_once_and_no_key_is_written() {
    let attempt = || {
        let mut context = Context::default();
        context.set_attempt(1, false);
        context
    };
    let key = IdempotencyKey::random().deduplicated();
    let keyed = IdempotencyLayer::new().key("/a.A/*", key).unwrap();
    let silent = IdempotencyLayer::new();
    let warnings = hear(|| {
        call(&silent, "/a.A/Get", attempt());
        call(&keyed, "/b.B/Get", attempt());
        let request = call(&keyed, "/a.A/Get", Context::default());
        assert!(request.headers().contains_key("idempotency-key"));
    });
    assert_eq!(warnings, [""; 0]);
    let warnings = hear(|| {
        for _ in 0..3 {
            let request = call(&keyed, "/a.A/Get", attempt());
            assert!(request.headers().is_empty());
        }
    });
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("RetryLayer"), "{warnings:?}");
}

/// The log output of this thread during `run`.
fn hear(run: impl FnOnce()) -> Vec<String> {
    let ear = Ear::default();
    let heard = Arc::clone(&ear.0);
    tracing::subscriber::with_default(ear, run);
    let heard = heard.lock().unwrap();
    heard.clone()
}

#[derive(Default)]
struct Ear(Arc<Mutex<Vec<String>>>);

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// `name=value` for each field.
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}
