//! Deadlines of calls that find no moment to wait.

use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use grpc_resilience::grpc::Code;
use http::Request;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, advance, timeout};
use tonic::body::Body;

use crate::common::manner::Manner;
use crate::common::net::Net;
use crate::common::script::Script;
use crate::common::*;

/// The head of a response on this stream, with `:status` 200.
fn head(stream: u8) -> [u8; 10] {
    [0, 0, 1, 1, 4, 0, 0, 0, stream, 0x88]
}

fn within(timeout: &'static str) -> Request<Body> {
    let mut request = request();
    let timeout = http::HeaderValue::from_static(timeout);
    request.headers_mut().insert("grpc-timeout", timeout);
    request
}

// CONTRACT D9
#[tokio::test(start_paused = true)]
async fn an_answer_whose_head_is_there_at_the_first_look_ends_at_its_deadline() {
    let (net, script) = (Net::default(), Script::default());
    let _host = net.serve_as("host", &Manner::taking(1_000_000));
    let channel = connected(script.builder(&net)).await;
    others_have_run().await;
    let mut calls: Vec<_> = (0..3).map(|_| begin(&channel, request())).collect();
    assert!(calls.iter_mut().all(|it| poll_once(it).is_pending()));
    // The fourth call polls the connection itself. Four more that come meanwhile have it polled
    // once more, and then the head is there.
    let more = Arc::new(Mutex::new(Vec::new()));
    script.at_read({
        let (channel, more) = (channel.clone(), Arc::clone(&more));
        move || {
            for _ in 0..4 {
                let mut call = begin(&channel, request());
                assert!(poll_once(&mut call).is_pending());
                more.lock().unwrap().push(call);
            }
        }
    });
    script.answer(head(7).to_vec());
    let mut fourth = begin(&channel, within("5S"));
    let Poll::Ready(answer) = poll_once(&mut fourth) else {
        panic!("its head is there");
    };
    let mut body = answer.unwrap().into_body();
    let start = Instant::now();
    let ended = timeout(LONG, body.frame()).await;
    let error = ended.expect("the deadline ends it").unwrap().unwrap_err();
    assert_eq!(error.verdict().code, Code::DeadlineExceeded);
    assert_eq!(error.endpoint().unwrap().name(), "unix:host");
    assert_eq!(start.elapsed().as_millis() / 10, 500);
    assert!(body.frame().await.is_none());
    drop((calls, more));
    until(|| in_flight(&channel) == 0).await;
}

// CONTRACT D9
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_always_ready_ends_at_its_deadline() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = connected(net.builder().timeout(Duration::from_secs(5))).await;
    let (sender, body) = streaming();
    let answer = send(&channel, bidi(body)).await.unwrap();
    for _ in 0..10 {
        sender.send(message(b"hi")).unwrap();
        tokio::time::sleep(10 * MS).await;
    }
    advance(Duration::from_secs(5)).await;
    let mut body = answer.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.verdict().code, Code::DeadlineExceeded);
    assert!(body.frame().await.is_none());
    until(|| in_flight(&channel) == 0).await;
}

// CONTRACT D5
#[tokio::test(start_paused = true)]
async fn a_call_that_finds_connections_that_are_lost_already_ends_at_its_deadline() {
    let (net, script) = (Net::default(), Script::default());
    let _host = net.serve_as("host", &Manner::taking(1_000_000));
    let channel = connected(script.builder(&net)).await;
    others_have_run().await;
    // DATA on stream 0 end the connection, and its task does not know yet.
    script.answer(vec![0, 0, 1, 0, 0, 0, 0, 0, 0, b'a']);
    let mut calls: Vec<_> = (0..4).map(|_| begin(&channel, request())).collect();
    let polled: Vec<_> = calls.iter_mut().map(poll_once).collect();
    assert!(matches!(polled[3], Poll::Ready(Err(_))), "{:?}", polled[3]);
    let Poll::Ready(late) = poll_once(&mut begin(&channel, within("0n"))) else {
        panic!("its deadline has passed");
    };
    let error = late.unwrap_err();
    assert_eq!(error.verdict().code, Code::DeadlineExceeded);
    // Once other tasks have run, calls go to the other connection.
    let mut waiting = begin(&channel, request());
    assert!(poll_once(&mut waiting).is_pending());
    until(|| in_flight(&channel) == 0).await;
    let waiting = tokio::spawn(waiting);
    until(|| in_flight(&channel) == 1).await;
    waiting.abort();
}
