//! Calls that are dropped at random points leave nothing behind (CONTRACT C10, C15).

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::channel::Channel;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::raw::channel;
use crate::ALLOCATOR;
use crate::support::alone;

const SECOND: Duration = Duration::from_secs(1);
const CALLS: usize = 10_000;
const AT_ONCE: usize = 100;

/// Where a call is dropped, if it is not over before.
#[derive(Clone, Copy)]
enum Point {
    /// At its n-th poll, the polls of its body among them.
    Poll(u32),
    After(Duration),
}

impl Point {
    fn random(random: &mut StdRng) -> Self {
        if random.random() {
            Self::Poll(random.random_range(0..8))
        } else {
            Self::After(Duration::from_micros(random.random_range(0..10_000)))
        }
    }
}

/// Every other one has a body that never ends, so that a task pumps it.
fn request(is_stream: bool) -> Request<Body> {
    let message = Bytes::from_static(&[0; 5]);
    let body = if is_stream {
        let first = tokio_stream::once(Ok::<_, tonic::Status>(Frame::data(message)));
        Body::new(StreamBody::new(first.chain(tokio_stream::pending())))
    } else {
        Body::new(Full::new(message))
    };
    Request::post("/test.v1.Echo/Unary").body(body).unwrap()
}

/// Whether the call was over before the point.
async fn dropped(channel: Channel, point: Point, is_stream: bool) -> bool {
    let call = async {
        let answer = channel.oneshot(request(is_stream)).await.unwrap();
        answer.into_body().collect().await.unwrap();
    };
    let mut polls = match point {
        Point::Poll(polls) => polls,
        Point::After(time) => return tokio::time::timeout(time, call).await.is_ok(),
    };
    let mut call = pin!(call);
    poll_fn(|cx| {
        let Some(left) = polls.checked_sub(1) else {
            return Poll::Ready(false);
        };
        polls = left;
        if left == 0 {
            // It is dropped now, and not when it is next woken.
            cx.waker().wake_by_ref();
        }
        call.as_mut().poll(cx).map(|()| true)
    })
    .await
}

/// The number of those that were over before.
async fn round(channel: &Channel, random: &mut StdRng) -> usize {
    let mut over = 0;
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let point = Point::random(random);
        calls.spawn(dropped(channel.clone(), point, number % 2 == 0));
        if calls.len() == AT_ONCE {
            over += usize::from(calls.join_next().await.unwrap().unwrap());
        }
    }
    let rest = calls.join_all().await;
    over + rest.into_iter().filter(|over| *over).count()
}

// CONTRACT C7, C10, C15
#[test]
fn calls_dropped_at_random_points_give_slots_streams_tasks_and_memory_back() {
    alone(async {
        let open = Arc::<AtomicUsize>::default();
        let streams = Arc::clone(&open);
        let builder = channel(move |raw| raw.answer(Arc::clone(&streams)));
        let channel = builder.max_connections(1).build().unwrap();
        channel.connected(SECOND).await.unwrap();
        let mut random = StdRng::seed_from_u64(1);
        let tasks = Handle::current().metrics().num_alive_tasks();
        let mut used = Vec::new();
        for _ in 0..4 {
            let over = round(&channel, &mut random).await;
            assert!(over > CALLS / 10 && over < CALLS * 9 / 10, "{over}");
            // h2 remembers the streams that it reset for a second.
            tokio::time::sleep(5 * SECOND).await;
            let now = channel.snapshot();
            let connection = &now.endpoints[0].connections[0];
            assert_eq!((now.waiting, connection.in_flight), (0, 0), "{now}");
            assert_eq!(open.load(Ordering::Acquire), 0, "streams at the server");
            assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks);
            used.push(ALLOCATOR.current_usage());
        }
        println!("after each 10,000 calls dropped at random points: {used:?} bytes");
        // The tables have grown in the first 10,000.
        let grown = used[3].saturating_sub(used[0]);
        assert!(grown < 64 << 10, "{used:?}");
    });
}
