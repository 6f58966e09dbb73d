//! Storms of GOAWAYs and kills: no call fails that provably was not processed, and none begins
//! twice that nobody declared.
//!
//! `STORM_CALLS=1000000 cargo test --test channel storm -- --nocapture` makes as many calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_resilience::Resilience;
use grpc_resilience::channel::Channel;
use grpc_resilience::classify::Progress;
use test_protos::{EchoClient, EchoRequest, EchoServer};
use testing::EchoService;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::interceptor::InterceptorLayer;
use tonic::transport::Server;

use crate::common::*;

/// How often each call began, by its own number.
#[derive(Clone, Default)]
struct Begun(Arc<Mutex<HashMap<String, u32>>>);

impl Begun {
    fn note(&self, request: &tonic::Request<()>) {
        let id = request.metadata().get("x-id").unwrap().to_str().unwrap();
        *self.0.lock().unwrap().entry(id.into()).or_default() += 1;
    }

    fn twice(&self) -> usize {
        self.0
            .lock()
            .unwrap()
            .values()
            .filter(|times| **times > 1)
            .count()
    }
}

fn calls() -> usize {
    let set = std::env::var("STORM_CALLS").ok();
    set.map_or(6_000, |calls| calls.parse().unwrap())
}

/// A server over TCP whose connections live for so long.
async fn serve(begun: &Begun, age: Duration) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("ipv4:{}", listener.local_addr().unwrap());
    let begun = begun.clone();
    let count = InterceptorLayer::new(move |request: tonic::Request<()>| {
        begun.note(&request);
        Ok(request)
    });
    let router = Server::builder()
        .max_connection_age(age)
        .tcp_nodelay(true)
        .layer(count)
        .add_service(EchoServer::new(EchoService));
    let task = tokio::spawn(async move {
        let incoming = TcpListenerStream::new(listener);
        let _ = router.serve_with_incoming(incoming).await;
    });
    (target, task)
}

/// Callers of undeclared unary and client-stream calls, without descriptors; the failed ones.
async fn storm(channel: Channel, callers: usize, calls: usize) -> Vec<tonic::Status> {
    let layered = Resilience::new().wrap(channel);
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let mut client = EchoClient::new(layered.clone());
        tasks.spawn(async move {
            let mut failed = Vec::new();
            for call in 0..calls / callers {
                let id = format!("{caller}-{call}");
                let message = EchoRequest {
                    text: id.clone(),
                    ..EchoRequest::default()
                };
                let answer = if call % 2 == 0 {
                    let mut request = tonic::Request::new(message);
                    request.metadata_mut().insert("x-id", id.parse().unwrap());
                    client.unary(request).await
                } else {
                    let mut request = tonic::Request::new(tokio_stream::iter([message]));
                    request.metadata_mut().insert("x-id", id.parse().unwrap());
                    client.client_stream(request).await
                };
                match answer {
                    Ok(answer) => assert_eq!(answer.into_inner().text, id),
                    Err(status) => failed.push(status),
                }
            }
            failed
        });
    }
    tasks.join_all().await.concat()
}

// CONTRACT C5, I4, X2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_goaways_fails_no_undeclared_call_and_begins_none_twice() {
    for age in [15, 100, 1_000] {
        let begun = Begun::default();
        let (target, server) = serve(&begun, age * MS).await;
        let channel = connected(Channel::builder(target)).await;
        let failed = storm(channel, 64, calls() / 3).await;
        println!(
            "age {age} ms: {} calls, {} failed, {} twice",
            calls() / 3,
            failed.len(),
            begun.twice()
        );
        assert!(failed.is_empty(), "{:?}", failed.first());
        assert_eq!(begun.twice(), 0);
        server.abort();
    }
}

// CONTRACT C16, I4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_under_load_begin_no_undeclared_call_twice() {
    let begun = Begun::default();
    let (target, server) = serve(&begun, Duration::from_secs(3_600)).await;
    let (proxy, cutter) = cut_often(target.trim_start_matches("ipv4:").to_owned()).await;
    let channel = connected(Channel::builder(proxy)).await;
    let failed = storm(channel, 64, calls() / 3).await;
    for status in &failed {
        let error = grpc_resilience::Error::find(status).unwrap();
        let progress = error.verdict().progress;
        if progress != Progress::Reached {
            // It did not begin. On a slow machine the cuts use up the budget for retries.
            assert_eq!(progress, Progress::NotSent, "{status:?}");
            assert!(format!("{status:?}").contains("budget"), "{status:?}");
        }
    }
    println!(
        "cut: {} calls, {} failed, {} twice",
        calls() / 3,
        failed.len(),
        begun.twice()
    );
    assert_eq!(begun.twice(), 0);
    cutter.abort();
    server.abort();
}

/// A proxy that resets each of its connections after 30 ms.
async fn cut_often(to: String) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("ipv4:{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(to).await.unwrap();
                let both = tokio::io::copy_bidirectional(&mut client, &mut server);
                let _ = tokio::time::timeout(30 * MS, both).await;
                client.set_zero_linger().unwrap();
            });
        }
    });
    (target, task)
}
