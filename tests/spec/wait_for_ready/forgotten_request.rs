//! A request that the transport forgets as its connection ends (FIELD.md 5), until the next one
//! comes.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use http::Request;
use testing::{Answer, Server, method};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::support::{SECOND, client, every, hello, ms, numbered, spawn};

/// Holds the calls with these numbers until another call comes.
#[derive(Clone)]
struct Forgets<S> {
    inner: S,
    forgotten: &'static [u32],
    calls: Arc<AtomicU32>,
    held: Arc<Mutex<Vec<oneshot::Sender<()>>>>,
}

impl<S> Forgets<S> {
    fn new(inner: S, forgotten: &'static [u32]) -> Self {
        Self {
            inner,
            forgotten,
            calls: Arc::default(),
            held: Arc::default(),
        }
    }
}

impl<S> Service<Request<Body>> for Forgets<S>
where
    S: Service<Request<Body>, Future: Send + 'static> + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let number = self.calls.fetch_add(1, SeqCst) + 1;
        let (release, released) = oneshot::channel();
        if self.forgotten.contains(&number) {
            self.held.lock().unwrap().push(release);
        } else {
            // Dropped, it lets this one and all that were held go on.
            drop(release);
            self.held.lock().unwrap().clear();
        }
        let inner = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, inner);
        Box::pin(async move {
            // The error says that it was dropped.
            let _ = released.await;
            inner.call(request).await
        })
    }
}

/// How long eight calls take after a connection was lost, under which a first call was answered.
async fn after_a_loss(forgotten: &'static [u32]) -> (std::time::Duration, u32) {
    let server = Server::in_memory();
    let script = server.script();
    script.on(
        method::UNARY,
        [Answer::handler(), Answer::drop_connection()],
    );
    let channel = Forgets::new(server.channel(), forgotten);
    let calls = Arc::clone(&channel.calls);
    let stack = WaitForReadyLayer::new()
        .backoff(every(SECOND))
        .layer(channel);
    client(stack.clone()).unary(hello()).await.unwrap();
    client(stack.clone()).unary(hello()).await.unwrap_err();
    let start = Instant::now();
    let eight: Vec<_> = (0..8)
        .map(|number| spawn(&stack, numbered(number)))
        .collect();
    for call in eight {
        call.await.unwrap().unwrap();
    }
    (start.elapsed(), calls.load(SeqCst))
}

// CONTRACT W11
#[transports::test(start_paused = true)]
async fn a_test_of_which_nothing_is_heard_after_a_loss_is_joined_by_another_call() {
    let (took, calls) = after_a_loss(&[3]).await;
    assert!(took <= ms(300), "{took:?}");
    assert_eq!(calls, 10, "none went twice");
}

// CONTRACT W6: one more is enough to remind a transport; others would be further dials
// Over tonic alone: a call of the layer's probes; over ours no call probes the channel.
#[tokio::test(start_paused = true)]
async fn a_test_of_which_nothing_is_heard_is_joined_once() {
    let (took, _) = after_a_loss(&[3, 4]).await;
    assert!(took >= 20 * SECOND, "{took:?}");
}

// CONTRACT W6, W11: the other call waits for the same dial
#[transports::test(start_paused = true)]
async fn a_slow_dial_after_a_loss_is_not_doubled() {
    let server = Server::in_memory();
    let script = server.script();
    script.on(
        method::UNARY,
        [Answer::handler(), Answer::drop_connection()],
    );
    let stack = WaitForReadyLayer::new()
        .backoff(every(SECOND))
        .layer(server.channel());
    client(stack.clone()).unary(hello()).await.unwrap();
    client(stack.clone()).unary(hello()).await.unwrap_err();
    server.set_dial_time(15 * SECOND);
    let calls: Vec<_> = (0..50)
        .map(|number| spawn(&stack, numbered(number)))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.dials(), 2);
}
