//! Calls that wait, and slots that become free while they look.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use grpc_resilience::channel::pick::{Call, Picker, Ready};
use grpc_resilience::channel::{Channel, ResponseBody, ResponseFuture};
use http_body_util::BodyExt as _;
use tonic::body::Body;

use crate::common::manner::Manner;
use crate::common::net::Net;
use crate::common::*;

/// Takes the first endpoint, and does once what the test says when it is asked about the last one.
#[derive(Clone, Default)]
struct First(Arc<Mutex<Option<Deed>>>);

type Deed = Box<dyn FnOnce() + Send>;

impl fmt::Debug for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("First")
    }
}

impl Picker for First {
    fn pick(&self, ready: &Ready<'_>, _: &Call<'_>) -> usize {
        let does = self.0.lock().unwrap().take_if(|_| ready.len() == 1);
        if let Some(does) = does {
            does();
        }
        0
    }
}

/// Whether a call was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Woken {
    fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Two endpoints that allow a stream each, which an answer that is not read yet has.
async fn full(net: &Net, picker: First) -> (Channel, [ResponseBody; 2]) {
    let builder = Channel::builder("multi:///unix:a,unix:b")
        .connector(net.clone())
        .picker(picker)
        .max_connections(1)
        .max_concurrent_streams(1);
    let channel = builder.build().unwrap();
    until_ready(&channel, 2).await;
    let answers = [call(&channel).await, call(&channel).await];
    let bodies = answers.map(|it| it.unwrap().into_body());
    tokio::time::sleep(MS).await;
    (channel, bodies)
}

/// Reads an answer to its end, without waiting: its slot is free then.
fn read(mut body: ResponseBody) {
    while let Poll::Ready(frame) = poll_once(&mut body.frame()) {
        if frame.is_none() {
            return;
        }
    }
    panic!("the answer is there");
}

fn poll_as(call: &mut ResponseFuture<Body>, woken: &Arc<Woken>) -> bool {
    let waker = Waker::from(Arc::clone(woken));
    let polled = std::pin::Pin::new(call).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending(), "no server has answered");
    woken.is_so()
}

// CONTRACT C8, W11
#[tokio::test(start_paused = true)]
async fn a_call_that_is_served_wakes_the_one_behind_it_if_a_slot_is_left() {
    for is_left in [true, false] {
        let net = Net::default();
        let manner = Manner::taking(0);
        let _hosts = [net.serve_as("a", &manner), net.serve_as("b", &manner)];
        let picker = First::default();
        let (channel, [a, b]) = full(&net, picker.clone()).await;
        manner.take(1_000);
        let woken = [(); 2].map(|()| Arc::<Woken>::default());
        let [mut first, mut second] = [(); 2].map(|()| begin(&channel, request()));
        poll_as(&mut first, &woken[0]);
        read(a);
        assert!(woken[0].is_so(), "a slot is free");
        // While the second call looks, the slot of the first one is not its own, and another one
        // becomes free when it has looked there.
        let other = Arc::new(Mutex::new(Some(b)));
        let does = {
            let other = Arc::clone(&other);
            move || {
                if is_left {
                    other.lock().unwrap().take().into_iter().for_each(read);
                }
            }
        };
        *picker.0.lock().unwrap() = Some(Box::new(does));
        assert!(!poll_as(&mut second, &woken[1]));
        assert!(picker.0.lock().unwrap().is_none(), "it has looked");
        assert_eq!(channel.snapshot().waiting, 2);
        poll_as(&mut first, &woken[0]);
        assert_eq!(channel.snapshot().waiting, 1, "the first one has a slot");
        assert_eq!(woken[1].is_so(), is_left);
        poll_as(&mut second, &woken[1]);
        assert_eq!(channel.snapshot().waiting, usize::from(!is_left));
    }
}
