//! A reopen costs what a retry costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use grpc_resilience::call::{AttemptKind, Budget, Permit};
use grpc_resilience::streams::OnEnd;
use grpc_resilience::{BudgetLayer, Resilience, RetryPolicy};
use tokio::time::timeout;
use tonic::Status;
use tower::Layer as _;

use crate::net::Net;
use crate::numbers::{Service, Step, steps};
use crate::{all, numbers, take};

/// Counts what it is told, and permits this number of extra attempts.
#[derive(Debug, Default)]
struct Counted {
    permits: AtomicU32,
    failed: AtomicU32,
    granted: AtomicU32,
    refunds: Arc<AtomicU32>,
}

impl Counted {
    fn with(permits: u32) -> Arc<Self> {
        let budget = Self::default();
        budget.permits.store(permits, SeqCst);
        Arc::new(budget)
    }
}

impl Budget for Counted {
    fn succeeded(&self) {}

    fn failed(&self) {
        self.failed.fetch_add(1, SeqCst);
    }

    fn permit(&self, _kind: AttemptKind) -> Option<Permit> {
        let left = |left: u32| left.checked_sub(1);
        self.permits.fetch_update(SeqCst, SeqCst, left).ok()?;
        self.granted.fetch_add(1, SeqCst);
        let refunds = Arc::clone(&self.refunds);
        Some(Permit::refundable(Arc::new(move || {
            refunds.fetch_add(1, SeqCst);
        })))
    }
}

fn breaking() -> Service {
    Service::new(|asked| {
        let broken = Step::Fail(Status::unavailable("restarting"));
        steps([Step::Token(asked.first()), broken])
    })
}

// CONTRACT T2, T9
#[transports::test(start_paused = true)]
async fn each_reopen_takes_a_permit_and_each_failure_is_charged_once() {
    let budget = Counted::with(100);
    let layer = BudgetLayer::new(Arc::clone(&budget));

    let net = Net::new(&breaking());
    let mut stream = numbers(layer.layer(net.channel())).build().unwrap();
    take(&mut stream, 5).await;
    let figures = [&budget.failed, &budget.granted, &budget.refunds].map(|it| it.load(SeqCst));
    assert_eq!(figures, [4, 4, 0]);
    drop(stream);

    // With a retry layer that charges by itself.
    let budget = Counted::with(100);
    let resilience = Resilience::new().budget(Arc::clone(&budget));
    let net = Net::new(&breaking());
    let mut stream = numbers(resilience.wrap(net.channel())).build().unwrap();
    take(&mut stream, 5).await;
    let figures = [&budget.failed, &budget.granted, &budget.refunds].map(|it| it.load(SeqCst));
    assert_eq!(figures, [4, 4, 0]);
}

// CONTRACT T9
#[transports::test(start_paused = true)]
async fn a_stream_that_is_dropped_while_it_waits_returns_its_permit() {
    let budget = Counted::with(100);
    let layer = BudgetLayer::new(Arc::clone(&budget));
    let service = Service::new(|_| Err(Status::unavailable("down")));
    let net = Net::new(&service);
    let mut stream = numbers(layer.layer(net.channel())).build().unwrap();
    let _ = timeout(Duration::from_secs(3), all(&mut stream)).await;
    drop(stream);
    let (granted, refunds) = (budget.granted.load(SeqCst), budget.refunds.load(SeqCst));
    assert_eq!(refunds, 1, "of {granted}");
}

// CONTRACT T7
#[transports::test(start_paused = true)]
async fn without_a_permit_a_stream_comes_back_later_as_a_call_of_its_own() {
    let budget = Counted::with(2);
    let layer = BudgetLayer::new(Arc::clone(&budget));
    let service = breaking();
    let net = Net::new(&service);
    let mut stream = numbers(layer.layer(net.channel())).build().unwrap();
    take(&mut stream, 6).await;
    let waits: Vec<_> = service.seen.waits().iter().map(Duration::as_secs).collect();
    assert_eq!(waits[..2], [0, 0]);
    assert!(
        waits[2..].iter().all(|it| (30..=36).contains(it)),
        "{waits:?}"
    );
    assert_eq!(stream.report().unpermitted(), 3);
}

// CONTRACT S2, T7
#[transports::test(start_paused = true)]
async fn an_opening_after_a_clean_end_and_progress_is_free() {
    let budget = Counted::with(0);
    let layer = BudgetLayer::new(Arc::clone(&budget));
    let service = Service::new(|asked| steps([Step::Token(asked.first())]));
    let net = Net::new(&service);
    let builder = numbers(layer.layer(net.channel())).on_end(OnEnd::Reopen);
    let mut stream = builder.build().unwrap();
    take(&mut stream, 9).await;
    assert_eq!(service.seen.waits(), [Duration::ZERO; 8]);
    assert_eq!(budget.failed.load(SeqCst), 0);
}

// CONTRACT T2
#[transports::test(start_paused = true)]
async fn a_timeout_of_the_stream_is_charged_although_the_retry_layer_sees_none() {
    let budget = Counted::with(100);
    let resilience = Resilience::new().budget(Arc::clone(&budget));
    let service = Service::new(|asked| steps([Step::Token(asked.first()), Step::Hang]));
    let net = Net::new(&service);
    let builder = numbers(resilience.wrap(net.channel()))
        .idle_timeout(Duration::from_secs(1))
        .policy(RetryPolicy::until_deadline());
    let mut stream = builder.build().unwrap();
    take(&mut stream, 5).await;
    assert_eq!(budget.failed.load(SeqCst), 4);
    assert_eq!(budget.granted.load(SeqCst), 4);
}
