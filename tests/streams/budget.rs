//! A reopen costs what a retry costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use grpc_resilience::call::{AttemptKind, Budget, Permit};
use grpc_resilience::streams::{OnEnd, OnLost};
use grpc_resilience::{BudgetLayer, GiveUp, Resilience, RetryPolicy};
use test_protos::EchoRequest;
use tokio::time::{Instant, timeout};
use tonic::{Code, Request, Status};
use tower::Layer as _;

use crate::net::Net;
use crate::numbers::{LOST, Service, Step, steps};
use crate::{all, asked, numbers, take};

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

// CONTRACT S8, T2, T9
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

// CONTRACT S8, T9
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

// CONTRACT S8, T7
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

// CONTRACT S8, S6, R14, R17
#[transports::test(start_paused = true)]
async fn without_a_permit_before_its_deadline_a_stream_fails_at_once_with_its_last_failure() {
    let layer = BudgetLayer::new(Counted::with(0));
    let timed = |seconds| {
        let mut request = Request::new(EchoRequest::default());
        request.set_timeout(Duration::from_secs(seconds));
        request
    };
    let net = Net::new(&breaking());
    let start = Instant::now();
    let builder = asked(layer.layer(net.channel()), timed(20));
    let mut stream = builder.build().unwrap();
    take(&mut stream, 1).await;
    let status = stream.next().await.unwrap().unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(1), "{status}");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::BudgetExhausted));
    let report = stream.report();
    assert_eq!(report.give_up(), Some(GiveUp::BudgetExhausted));
    assert_eq!(report.unpermitted(), 0, "it does not wait");

    // With time enough it waits.
    let net = Net::new(&breaking());
    let builder = asked(layer.layer(net.channel()), timed(40));
    let mut stream = builder.build().unwrap();
    assert_eq!(take(&mut stream, 2).await, [1, 2]);

    // Nor does it begin anew.
    let lost = Service::new(|_| steps([Step::Token(1), Step::Lost, Step::Hang]));
    let net = Net::new(&lost);
    let builder = asked(layer.layer(net.channel()), timed(20));
    let builder = builder
        .lost(|number| number.text == LOST)
        .on_lost(OnLost::Restart);
    let mut stream = builder.build().unwrap();
    let (message, failure) = (Ok(0), Err(Code::OutOfRange));
    assert_eq!(all(&mut stream).await, [Ok(1), message, failure]);
    assert_eq!(stream.report().gaps(), 0);
    assert_eq!(lost.seen.count(), 1);
}

// CONTRACT S8, S2
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

// CONTRACT S8, T2
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
