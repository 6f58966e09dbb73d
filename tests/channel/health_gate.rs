//! The health gate: which connections take calls.

use grpc_resilience::channel::{Channel, Connectivity, DialError, Health, Phase, Unhealthy};
use grpc_resilience::classify::{Progress, Reason, TransportError};
use peer::{Connection, Gate, Peer, Step, Stream};
use tokio::time::Instant;

use crate::common::health::*;
use crate::common::log::Ear;
use crate::common::net::Net;
use crate::common::*;

// CONTRACT C1, G1, GO-hc-states
#[tokio::test]
async fn a_connection_is_ready_only_once_its_watch_says_serving() {
    let gate = Gate::new();
    let watch = says(1).after(Step::Gate(gate.clone()));
    let peer = Peer::start([watched(watch)]).await;
    let channel = builder(&peer).health_check(SERVICE).build().unwrap();
    peer.wait_for_requests(1).await;
    let call = spawn(&channel);
    until(|| channel.snapshot().waiting == 1).await;
    assert_eq!(channel.state(), Connectivity::Connecting);
    assert_eq!((calls(&peer), health(&channel)), (0, None));
    gate.open();
    assert_eq!(status(call.await.unwrap()).await, 0);
    assert_eq!(channel.state(), Connectivity::Ready);
    assert_eq!(health(&channel), Some((Health::Serving, "SERVING".into())));
}

// CONTRACT G1, C12
#[tokio::test]
async fn the_watch_asks_for_the_service_on_the_connection_of_the_calls() {
    let peer = Peer::start([watched(says(1))]).await;
    let channel = connected(builder(&peer).health_check(SERVICE).user_agent("mine/2")).await;
    succeeds(&channel).await;
    let seen = peer.streams_seen();
    assert_eq!((seen[0].id, seen[1].id, peer.connections()), (1, 3, 1));
    let watch = &seen[0];
    let field = |name| watch.field(name).unwrap().to_owned();
    assert_eq!(field(":path"), "/grpc.health.v1.Health/Watch");
    assert_eq!(field(":method"), "POST");
    assert_eq!(field("content-type"), "application/grpc");
    assert_eq!(field("te"), "trailers");
    assert!(field("user-agent").starts_with("mine/2 "));
    assert_eq!(watch.field("grpc-timeout"), None);
    assert_eq!(watch.field(":authority"), seen[1].field(":authority"));
    let name = [&[0x0a, 15], SERVICE.as_bytes()].concat();
    assert_eq!(watch.body, message(&name));
    assert!(watch.complete);
}

// CONTRACT G1
#[tokio::test]
async fn without_the_setting_there_is_no_watch() {
    let peer = Peer::start([]).await;
    let channel = channel(&peer).await;
    succeeds(&channel).await;
    assert!(watches(&peer).is_empty());
    assert!(endpoint(&channel).health.is_none());
    let text = channel.snapshot().to_string();
    assert!(!text.contains("health"), "{text}");
}

fn unhealthy(error: &TransportError) -> Unhealthy {
    let mut link: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(unhealthy) = link.downcast_ref::<Unhealthy>() {
            return unhealthy.clone();
        }
        link = link.source().expect("a server that is not healthy");
    }
}

// CONTRACT G1, L1, R19, CORE-hc-spread
#[tokio::test]
async fn a_server_that_is_not_serving_gets_no_call_and_the_error_says_so() {
    for (number, health, word) in [
        (0, Health::Unknown, "UNKNOWN"),
        (2, Health::NotServing, "NOT_SERVING"),
        (3, Health::ServiceUnknown, "SERVICE_UNKNOWN"),
    ] {
        let (back, ear) = (Gate::new(), Ear::new());
        let watch = says(number).then(Step::Gate(back.clone())).then(said(1));
        let peer = Peer::start([watched(watch)]).await;
        let channel = builder(&peer).health_check(SERVICE).build().unwrap();
        until(|| channel.state() == Connectivity::TransientFailure).await;
        let error = call(&channel).await.unwrap_err();
        assert_eq!(error.progress(), Progress::NotSent);
        assert_eq!(error.verdict().reason, Reason::NotReady);
        let address = peer.uri().replace("http://", "");
        let words = format!("{address} says {word} for {SERVICE}");
        assert!(error.message().contains(&words), "{error:?}");
        let cause = unhealthy(&error);
        assert_eq!((cause.endpoint(), cause.service()), (&*address, SERVICE));
        assert_eq!(cause.health(), health);
        let text = channel.snapshot().to_string();
        assert!(
            text.contains(&words) && text.contains(&format!("{word} for ")),
            "{text}"
        );
        let waits = tokio::spawn({
            let channel = channel.clone();
            async move { send(&channel, patient()).await }
        });
        until(|| channel.snapshot().waiting == 1).await;
        assert_eq!((calls(&peer), peer.open_connections()), (0, 1));
        // Straight to READY, over the same connection.
        back.open();
        assert_eq!(status(waits.await.unwrap()).await, 0);
        assert_eq!(
            (channel.state(), peer.connections()),
            (Connectivity::Ready, 1)
        );
        assert_eq!(watches(&peer).len(), 1);
        let event = |before: &str, now: &str| {
            format!(" endpoint=\"{address}\" service=\"{SERVICE}\"{before} health=\"{now}\"")
        };
        assert_eq!(ear.count(&event("", word)), 1, "{}", ear.text());
        let back = event(&format!(" before=\"{word}\""), "SERVING");
        assert_eq!(ear.count(&back), 1, "{}", ear.text());
    }
}

// CONTRACT G1; SEEDS A4
#[tokio::test(start_paused = true)]
async fn calls_that_run_finish_and_no_new_one_comes_once_a_server_says_not_serving() {
    let net = Net::default();
    let ill = Ward::new(&net, "ill", true).await;
    let well = Ward::new(&net, "well", true).await;
    let channel = Channel::builder("multi:///unix:ill,unix:well")
        .connector(net.clone())
        .max_connections(1)
        .health_check(SERVICE)
        .build()
        .unwrap();
    until_ready(&channel, 2).await;
    let mut streams = Vec::new();
    let mut there = 0;
    while there < 30 {
        let (sender, body) = streaming();
        let answer = send(&channel, bidi(body)).await;
        there += usize::from(endpoint_of(&answer) == "ill");
        streams.push((sender, answer));
    }
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move {
                loop {
                    succeeds(&channel).await;
                    tokio::time::sleep(MS).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(20 * MS).await;
    assert!(ill.manner.calls() > there);
    ill.serves(false).await;
    // In memory a round trip takes no time.
    tokio::time::sleep(5 * MS).await;
    let (before, others) = (ill.manner.calls(), well.manner.calls());
    tokio::time::sleep(1_000 * MS).await;
    assert_eq!(ill.manner.calls(), before);
    assert!(well.manner.calls() > others + 7_000);
    for caller in callers {
        caller.abort();
    }
    for (sender, answer) in streams {
        sender.send(message(b"")).unwrap();
        drop(sender);
        assert_eq!(status(answer).await, 0);
    }
    assert_eq!(net.dials(), 2, "no connection was closed");
    ill.serves(true).await;
    until_ready(&channel, 2).await;
}

// CONTRACT C2, G1
#[tokio::test(start_paused = true)]
async fn the_connect_timeout_bounds_the_first_health_answer() {
    let net = Net::default();
    let mut accepted = net.accept("host");
    let silent = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Some(io) = accepted.recv().await {
            open.push(tokio::spawn(async move {
                let mut connection = h2::server::handshake(io).await.unwrap();
                let mut streams = Vec::new();
                while let Some(Ok(stream)) = connection.accept().await {
                    streams.push(stream);
                }
            }));
        }
    });
    let start = Instant::now();
    let channel = net.builder().health_check(SERVICE).build().unwrap();
    let error = channel.connected(6 * 1_000 * MS).await.unwrap_err();
    let mut link: &(dyn std::error::Error + 'static) = &error;
    let dial = loop {
        match link.downcast_ref::<DialError>() {
            Some(dial) => break dial,
            None => link = link.source().unwrap(),
        }
    };
    assert_eq!((dial.phase(), dial.is_timeout()), (Phase::Health, true));
    let words =
        "the connect timeout of 5s passed while waiting for the server's first health answer";
    assert!(error.message().contains(words), "{error:?}");
    assert!(start.elapsed() >= 5_000 * MS);
    // The connection that gave no answer is gone.
    until(|| net.open() == 1).await;
    drop(channel);
    until(|| net.open() == 0).await;
    silent.abort();
}

// CONTRACT G1, C3
#[tokio::test]
async fn a_connection_that_is_lost_before_the_first_answer_is_a_failed_dial() {
    let lost = Connection::new()
        .streams([Stream::stall()])
        .then(Step::AwaitStreams(1))
        .then(Step::Close);
    let peer = Peer::always(lost).await;
    let channel = builder(&peer).health_check(SERVICE).build().unwrap();
    until(|| channel.state() == Connectivity::TransientFailure).await;
    let error = call(&channel).await.unwrap_err();
    assert!(
        error
            .message()
            .contains("failed while waiting for the server's first health answer"),
        "{error:?}"
    );
    // They back off: no dial is "at once" because a watch was answered.
    let start = Instant::now();
    let dials = peer.connections();
    peer.wait_for_connections(dials + 2).await;
    assert!(start.elapsed() >= 100 * MS, "{:?}", start.elapsed());
}
